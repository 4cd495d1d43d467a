#!/usr/bin/env bash
# Builds Fluent Bit 1.8.15, a peer of ./dev bench, once. usage: fluent_bit.sh FOLDER; the binary is FOLDER/fluent-bit.
#
# Debian 12 has no package of it; the npm package fluent-bit holds its source. Two of its libraries are not whole in there:
# Onigmo is missing, so its regular expressions are those of Oniguruma, from which Onigmo comes; jemalloc has no configure
# script. Debian's are linked instead. Plugins that j3 does not use are left out.
set -euo pipefail
version=0.0.3
sha512=6a986a6007566c0efccc138967c30c4e188c1912901c5a0f97df3c20dae26519d33d8aebcb2c8f946f1cb02dd964e7bfc406206ee059e2663de22f91c8344615
used='IN_TAIL IN_EMITTER IN_STORAGE_BACKLOG FILTER_GREP FILTER_PARSER FILTER_RECORD_MODIFIER OUT_FILE'
unused='EXAMPLES SHARED_LIB LUAJIT BACKTRACE AWS SIGNV4 HTTP_SERVER SQLDB PROXY_GO STREAM_PROCESSOR JEMALLOC DEBUG'

die() {
    echo "fluent-bit: not there: $*" >&2
    exit 1
}

self=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$(basename "${BASH_SOURCE[0]}")
mkdir -p "$1"
cd "$1"
[ -x fluent-bit ] && [ fluent-bit -nt "$self" ] && exit 0

for tool in npm cmake make cc flex bison pkg-config; do
    command -v "$tool" >/dev/null || die "$tool is missing; ./dev setup bench installs it"
done
pkg-config --exists oniguruma jemalloc || die "libonig-dev or libjemalloc-dev is missing; ./dev setup bench installs them"

echo "fluent-bit: building it once, about a minute (log: $PWD/log)" >&2
rm -rf source build fluent-bit
trap 'rm -rf source build fluent-bit-*.tgz' EXIT
npm pack --loglevel=error --ignore-scripts "fluent-bit@$version" >log 2>&1 </dev/null || die "npm cannot fetch it, see $PWD/log"
echo "$sha512  fluent-bit-$version.tgz" | sha512sum --check --status || die "fluent-bit-$version.tgz is another file than it should be"
mkdir source
tar -xzf "fluent-bit-$version.tgz" -C source --strip-components=3 package/src/fluent-bit

cat >source/cmake/onigmo.cmake <<'TXT'
find_library(ONIGURUMA onig REQUIRED)
add_library(libonigmo SHARED IMPORTED GLOBAL)
set_target_properties(libonigmo PROPERTIES IMPORTED_LOCATION ${ONIGURUMA})
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/onigmo/onigmo.h "#include <oniguruma.h>\n")
include_directories(${CMAKE_CURRENT_BINARY_DIR}/onigmo)
TXT
options=()
for plugin in $(sed -nE 's/^option\(FLB_((CUSTOM|IN|FILTER|OUT)_[A-Z0-9_]+).*/\1/p' source/CMakeLists.txt) $unused; do
    case " $used " in *" $plugin "*) ;; *) options+=("-DFLB_$plugin=Off") ;; esac
done
# its build needs make; release is -O2 -DNDEBUG
nice cmake -S source -B build -G 'Unix Makefiles' -DCMAKE_POLICY_VERSION_MINIMUM=3.5 -DFLB_RELEASE=On "${options[@]}" \
    -DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=On \
    -DCMAKE_C_FLAGS_RELWITHDEBINFO='-O2 -DNDEBUG' -DCMAKE_EXE_LINKER_FLAGS='-Wl,--push-state,--no-as-needed -ljemalloc -Wl,--pop-state' \
    >>log 2>&1 </dev/null || die "cmake fails, see $PWD/log"
nice make -C build -j"$(nproc)" fluent-bit-bin >>log 2>&1 </dev/null || die "it does not build, see $PWD/log"
build/bin/fluent-bit --version >>log 2>&1 || die "it does not start, see $PWD/log"
mv build/bin/fluent-bit fluent-bit
touch fluent-bit
