#!/bin/sh
# Builds git-orchestrate and installs the program, its hook filter, man pages and completions below one prefix. Needs no root.
set -eu

usage() {
    cat <<'END'
Usage: ./install.sh [--prefix DIR] [--uninstall | --demo]

Builds git-orchestrate and installs it with its man pages and completions for bash, zsh and fish.
A second call replaces what the first one installed.

  --prefix DIR   where to install [default: ~/.local]
  --uninstall    remove what was installed there
  --demo         install, then run five small stories in a throw-away repository
  --help         print this
END
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

prefix=${HOME:-}/.local
action=install
while [ $# -gt 0 ]; do
    case $1 in
        --prefix)
            [ $# -ge 2 ] || fail '--prefix needs a folder' 2
            prefix=$2
            shift
            ;;
        --prefix=*) prefix=${1#--prefix=} ;;
        --uninstall) action=uninstall ;;
        --demo) action=demo ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) fail "unknown argument: $1 (see ./install.sh --help)" 2 ;;
    esac
    shift
done
case $prefix in
    '' | /.local) fail 'HOME is not set: name a folder with --prefix' 2 ;;
    /*) ;;
    *) prefix=$(pwd)/$prefix ;;
esac

bin=$prefix/bin
man=$prefix/share/man/man1
bash=$prefix/share/bash-completion/completions
zsh=$prefix/share/zsh/site-functions
fish=$prefix/share/fish/vendor_completions.d
fishconf=$prefix/share/fish/vendor_conf.d

# Git's bash completion loads `git-orchestrate` for that name, and looks for _git_orchestrate when `git` is completed.
installed() {
    printf '%s\n' "$bin/git-orchestrate" "$bin/git-orchestrate-hook" "$bash/git-orchestrate" "$zsh/_git-orchestrate" \
        "$fish/git-orchestrate.fish" "$fishconf/git-orchestrate.fish"
    for page in "$man"/git-orchestrate.1 "$man"/git-orchestrate-*.1; do
        printf '%s\n' "$page"
    done
}

uninstall() {
    removed=0
    installed >"$list"
    while IFS= read -r file; do
        if [ -e "$file" ] || [ -L "$file" ]; then
            rm -- "$file"
            printf 'removed %s\n' "$file"
            removed=$((removed + 1))
        fi
    done <"$list"
    [ "$removed" -gt 0 ] || printf 'nothing of git-orchestrate is installed below %s\n' "$prefix"
}

# Copies beside the destination and renames, so that a running program is never written into.
put() {
    mkdir -p "${2%/*}"
    cp "$1" "$2.new"
    chmod "$3" "$2.new"
    mv "$2.new" "$2"
    printf 'installed %s\n' "$2"
}

check_tools() {
    command -v cargo >/dev/null 2>&1 || fail 'cargo is missing: install Rust from https://rustup.rs'
    command -v git >/dev/null 2>&1 || fail 'git is missing: install git 2.38 or newer'
}

# Git starts the filter for every hook. Without shared libraries to load it costs less than /bin/true; where they cannot be
# linked in, it costs half as much again and works the same.
build_filter() {
    cargo rustc --release --locked --bin git-orchestrate-hook -- -C target-feature=+crt-static 2>/dev/null ||
        cargo build --release --locked --bin git-orchestrate-hook
}

install() {
    check_tools
    here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    target=${CARGO_TARGET_DIR:-$here/target}
    (cd "$here" && cargo build --release --locked --bin git-orchestrate && build_filter)
    built=$target/release/git-orchestrate
    for program in "$built" "$built-hook"; do
        [ -x "$program" ] || fail "cargo built no $program"
        put "$program" "$bin/${program##*/}" 755
    done
    for page in "$here"/man/*.1; do
        put "$page" "$man/${page##*/}" 644
    done
    "$built" completions bash >"$list" && put "$list" "$bash/git-orchestrate" 644
    "$built" completions zsh >"$list" && put "$list" "$zsh/_git-orchestrate" 644
    "$built" completions fish >"$list" && put "$list" "$fish/git-orchestrate.fish" 644
    # fish completes `git orchestrate` by asking for `git-orchestrate`, but loads no file while it completes.
    printf 'status is-interactive; and source (dirname (status filename))/../%s\n' \
        vendor_completions.d/git-orchestrate.fish >"$list" && put "$list" "$fishconf/git-orchestrate.fish" 644
    advise
}

advise() {
    case :${PATH:-}: in
        *":$bin:"*) ;;
        *) printf 'add to PATH, e.g. in ~/.profile:      export PATH="%s:$PATH"\n' "$bin" ;;
    esac
    # man finds pages below the prefix of a folder on PATH by itself; git help asks man.
    if [ -n "${MANPATH:-}" ]; then
        case :$MANPATH: in
            *":$prefix/share/man:"* | *::*) ;;
            *) printf 'add to MANPATH:                        export MANPATH="%s:$MANPATH"\n' "$prefix/share/man" ;;
        esac
    fi
    printf 'bash: to complete `git orchestrate`, add to ~/.bashrc:  . "%s/git-orchestrate"\n' "$bash"
    printf 'zsh:  add to ~/.zshrc before compinit:                  fpath=("%s" $fpath)\n' "$zsh"
    printf 'fish: nothing to do when %s is below XDG_DATA_HOME or XDG_DATA_DIRS\n' "$prefix/share"
}

list=$(mktemp)
trap 'rm -f "$list"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
case $action in
    uninstall) uninstall ;;
    install) install ;;
    demo)
        install
        printf '\n'
        PATH=$bin:$PATH
        export PATH
        git orchestrate demo
        ;;
esac
