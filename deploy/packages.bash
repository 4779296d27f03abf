# Which distribution packages the project needs, and how to get the missing ones. Sourced, not run.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the lists are for who sources this

# One line a need: the package, how to tell that it is not needed because the thing is already
# there (from wherever it came), and what to look for.
packages_to_build='
gcc                   command gcc
libc6-dev             header  stdio.h
cmake                 command cmake
ninja-build           command ninja
pkg-config            command pkg-config
libssl-dev            module  openssl
libpq-dev             module  libpq
libcurl4-openssl-dev  module  libcurl
libwebsockets-dev     module  libwebsockets
libjansson-dev        module  jansson
zlib1g-dev            module  zlib
libprotobuf-c-dev     module  libprotobuf-c
protobuf-c-compiler   command protoc-c
'
packages_of_postgres='
postgresql            server  initdb
'
packages_of_psql='
postgresql-client     command psql
'
packages_to_test='
check                    module  check
python3                  command python3
openssl                  command openssl
sqlite3                  command sqlite3
'
packages_to_build_faster='
ccache                   command ccache
'
packages_to_fuzz='
clang                    command clang
llvm                     command llvm-symbolizer
'
packages_to_check='
git                      command git
clang                    command clang
clang-format             command clang-format
clang-tidy               command clang-tidy
cppcheck                 command cppcheck
shellcheck               command shellcheck
'
packages_to_package='
debootstrap              command debootstrap
lintian                  command lintian
dpkg-dev                 command dpkg-shlibdeps
systemd                  command systemd-analyze
'
packages_of_readers='
man-db                   command man
mandoc                   command mandoc
zsh                      command zsh
fish                     command fish
'
packages_of_balancers='
nginx-light              file    /usr/sbin/nginx
haproxy                  file    /usr/sbin/haproxy
caddy                    command caddy
'
packages_of_drivers='
nodejs                   command node
npm                      command npm
default-jdk-headless     command javac
libpostgresql-jdbc-java  file    /usr/share/java/postgresql.jar
python3-psycopg          python  psycopg
ruby-activerecord        ruby    active_record
ruby-pg                  ruby    pg
'
# Beside the balancers.
packages_of_middleboxes='
squid-openssl            file    /usr/sbin/squid
tinyproxy                file    /usr/bin/tinyproxy
openssh-server           file    /usr/sbin/sshd
openssh-client           command ssh
'

# Where initdb and postgres live: $PG_BINDIR, else the newest that is installed; fails when none is.
postgres_bindir()
{
    local newest
    if [[ -n ${PG_BINDIR:-} ]]; then
        echo "$PG_BINDIR"
        return
    fi
    newest=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
    if [[ -x $newest ]]; then
        dirname "$newest"
    elif [[ -x $(pg_config --bindir 2>/dev/null)/initdb ]]; then
        pg_config --bindir
    else
        return 1
    fi
}

is_present() # kind name
{
    case $1 in
    command) command -v "$2" >/dev/null ;;
    module) command -v pkg-config >/dev/null && pkg-config --exists "$2" ;;
    header) [[ -e /usr/include/$2 || -n $(compgen -G "/usr/include/*-linux-gnu*/$2") ]] ;;
    file) [[ -e $2 ]] ;;
    server) postgres_bindir >/dev/null ;;
    ruby) /usr/bin/ruby -e "require '$2'" 2>/dev/null ;;
    # Debian's own interpreter: another one earlier in PATH does not see Debian's packages.
    python) /usr/bin/python3 -c "import $2" 2>/dev/null ;;
    esac
}

# Prints the packages of the given lists that are needed and not there.
missing_packages()
{
    local package kind name
    while read -r package kind name; do
        if [[ -n $package ]] && ! is_present "$kind" "$name"; then
            echo "$package"
        fi
    done <<<"$*"
}

# Runs a command as root: directly, or by sudo.
as_root()
{
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "this needs root, and there is no sudo here; run as root: $*" >&2
        return 1
    fi
}

# Services of the packages are not started (policy-rc.d, Debian Policy 9.3.3.1): nobody asked for a
# load balancer on port 80, and whoever uses these lists starts their own.
apt_install()
{
    local policy=/usr/sbin/policy-rc.d status=0
    if [[ -e $policy ]]; then
        apt_get_install "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"
    apt_get_install "$@" || status=$?
    as_root rm --force "$policy"
    return "$status"
}

apt_get_install()
{
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 \
        --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# Installs packages by apt; package lists are fetched when there are none, or when they are too old
# to serve.
install_packages()
{
    local install=apt_install
    if [[ " $* " == *" postgresql "* ]]; then
        install=install_without_cluster
    fi
    if ! command -v apt-get >/dev/null; then
        echo "there is no apt-get here (this is for Debian 12, Ubuntu 24.04 and newer);" \
            "install by your own means: $*" >&2
        return 1
    fi
    if ! apt-cache show "$@" >/dev/null 2>&1; then
        as_root apt-get update --quiet=2
    fi
    "$install" "$@" || {
        as_root apt-get update --quiet=2 && "$install" "$@"
    }
}

# Debian's package postgresql creates and starts a server for the whole machine. Nobody asked for
# one, so it is told not to; the setting is then put back.
install_without_cluster()
{
    local setting=/etc/postgresql-common/createcluster.conf status=0
    apt_install postgresql-common || return
    as_root cp --preserve "$setting" "$setting.before"
    as_root sed --in-place '1i create_main_cluster = false' "$setting"
    apt_install "$@" || status=$?
    as_root mv "$setting.before" "$setting"
    return "$status"
}
