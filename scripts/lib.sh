# shellcheck shell=bash
# What the scripts share. Sourced, with `script` set to what their lines on stderr begin with.

readonly UNAVAILABLE=3 # exit code: this machine lacks something, and may not install it
# shellcheck disable=SC2034 # for those who source this
readonly cache_root="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/milena"

say() { printf '%s: %s\n' "${script:?}" "$*" >&2; }
fail() { say "$*"; exit 1; }
unavailable() { say "not available: $*"; exit "$UNAVAILABLE"; }

# Whether apt-get may be used: the caller said so, is root, and the system has it.
may_install() { [[ "${MILENA_TEST_INSTALL:-}" == 1 && $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

apt_install() {
  say "installing $*"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } >&2 </dev/null
}

# Makes package $2 provide what `$1` asks for; ends the script if it does not.
require() {
  local present=$1 package=$2 what=$3
  "$present" && return
  may_install || unavailable "$what is missing; install it (Debian: apt-get install $package) or set MILENA_TEST_INSTALL=1 as root"
  apt_install "$package" || unavailable "apt-get could not install $package"
  "$present" || unavailable "$what is missing even after apt-get install $package"
}
