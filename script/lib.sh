# shellcheck shell=bash
# Why: script/server and script/test install, build and report alike; what both need stands here.
# Sourced, never run. Long output goes to build/logs; only what failed is shown.
# SPDX-License-Identifier: ISC

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=$top/build/logs
mkdir -p "$logs"

if [ -t 1 ] || [ -n "${FORCE_COLOR:-}" ]; then
	green=$'\e[32m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'
else
	green='' red='' dim='' plain=''
fi

tick() { printf '%s✓%s %s\n' "$green" "$plain" "$*"; }
cross() { printf '%s✗%s %s\n' "$red" "$plain" "$*"; }
die() {
	cross "$*" >&2
	exit 1
}

# logged NAME TEXT COMMAND...: runs the command into build/logs/NAME.log; one line tells how it went, and
# the end of the log is shown where it failed. Returns the command's status.
logged() {
	local name=$1 text=$2 begin=$SECONDS status=0
	shift 2
	("$@") >"$logs/$name.log" 2>&1 </dev/null || status=$?
	if [ "$status" -eq 0 ]; then
		tick "$text $dim$((SECONDS - begin)) s$plain"
	else
		cross "$text: exit status $status; the end of build/logs/$name.log:"
		tail -n 40 "$logs/$name.log"
	fi
	return "$status"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root and no sudo: cannot run: $*"
	fi
}

have_package() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_install() {
	# An old package list is no obstacle where the packages are found in it or need no download.
	as_root apt-get -q update || echo "apt-get update failed; going on with the present lists"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
}

# need PACKAGE...: installs those that are not there, and says nothing when all are.
need() {
	local package missing=()
	for package in "$@"; do
		have_package "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	command -v apt-get >/dev/null || die "missing, and no apt-get to install them: ${missing[*]}"
	logged install "installed ${missing[*]}" apt_install "${missing[@]}"
}

need_for_building() {
	need gcc make autoconf automake pkg-config libc6-dev \
		libevent-dev libjansson-dev libxxhash-dev libmd-dev libssl-dev libc-ares-dev libsystemd-dev
}

# The generated files stand in the source tree, so this comes before two builds run side by side.
autotools() {
	cd "$top" || return
	if [ ! -x configure ] || [ ! -f Makefile.in ] || [ configure.ac -nt configure ] ||
		[ Makefile.am -nt Makefile.in ]; then
		logged autoreconf "generated configure" autoreconf --force --install
	fi
}

# configured DIRECTORY CONFIGURE-ARGUMENT...
configured() {
	mkdir -p "$top/$1" && cd "$top/$1" || return
	shift
	if [ ! -f Makefile ] || [ "$top/configure" -nt config.status ]; then
		"$top/configure" -q "$@"
	fi
}

# compile DIRECTORY CONFIGURE-ARGUMENT...: the programs and the unit tests, without running any.
compile() {
	configured "$@" && make -s -j2 -C "$top/$1" all
}

# logged_compile DIRECTORY CONFIGURE-ARGUMENT...: silent where there is nothing to do.
logged_compile() {
	if [ -f "$top/$1/Makefile" ] && [ ! "$top/configure" -nt "$top/$1/config.status" ] &&
		make -s -q -C "$top/$1" all >/dev/null 2>&1; then
		return 0
	fi
	logged "$1" "built $1/limpet" compile "$@"
}
