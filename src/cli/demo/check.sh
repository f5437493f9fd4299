# The check of this repository: no file below demo/ is empty.
empty=$(find demo -type f -empty 2>/dev/null)
[ -z "$empty" ] || { echo "empty: $empty"; exit 1; }
