# shellcheck shell=bash
# Functions that the scripts share. Source this file with `script` set to the prefix of lines on stderr.

readonly UNAVAILABLE=3 # exit code: this machine lacks something, and may not install it
# shellcheck disable=SC2034 # used by scripts that source this file
readonly cache_root="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/milena"

say() { printf '%s: %s\n' "${script:?}" "$*" >&2; }
fail() { say "$*"; exit 1; }
unavailable() { say "not available: $*"; exit "$UNAVAILABLE"; }

# Succeeds if apt-get may be used: MILENA_TEST_INSTALL=1, the user is root, and apt-get exists.
may_install() { [[ "${MILENA_TEST_INSTALL:-}" == 1 && $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

apt_install() {
  say "installing $*"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } >&2 </dev/null
}

# Installs package $2 if the check `$1` fails. Ends the script if the check fails after that.
require() {
  local present=$1 package=$2 what=$3
  "$present" && return
  may_install || unavailable "$what is missing; install it (Debian: apt-get install $package) or set MILENA_TEST_INSTALL=1 as root"
  apt_install "$package" || unavailable "apt-get could not install $package"
  "$present" || unavailable "$what is missing even after apt-get install $package"
}
