#!/usr/bin/env bash
# tools/debian/check_elf lets a hardened program pass, and names what another one lacks.
set -euo pipefail

check=$PWD/tools/debian/check_elf
cd "$TEST_TMPDIR"
cat >program.c <<'END'
#include <string.h>
#include <unistd.h>
int main(int count, char** words) {
  char copy[64];
  if (count != 2 || strlen(words[1]) > 70) return 1;
  memcpy(copy, words[1], strlen(words[1]));
  return (int)write(1, copy, sizeof(copy));
}
END

hardened=(-O2 -fPIE -pie -fstack-protector-strong -fcf-protection -D_FORTIFY_SOURCE=3
  -Wl,-z,relro,-z,now,-z,noexecstack)
status=0

expect() { # WHAT IS SAID, or nothing : of a program with the further OPTION...
  local said=$1
  shift
  gcc "${hardened[@]}" -w program.c "$@" -o program
  if "$check" program 2>errors; then [[ -z $said ]] && return; fi
  [[ -n $said ]] && grep --quiet --fixed-strings -- "$said" errors && [[ $(wc -l <errors) -eq 1 ]] && return
  echo "with ${*:-nothing else}, expected ${said:-nothing} and got:"
  cat errors
  status=1
}

expect ""
expect "-pie" -fno-pie -no-pie
expect "-z relro" -Wl,-z,norelro
expect "-z now" -Wl,-z,lazy
expect "-z noexecstack" -Wl,-z,execstack
expect "RPATH" -Wl,-rpath,/opt/lib
expect "-fstack-protector-strong" -fno-stack-protector
expect "_FORTIFY_SOURCE" -U_FORTIFY_SOURCE
expect "-fcf-protection" -fcf-protection=none
expect "a library is shared" -Wl,--no-as-needed -lyaml-cpp
exit "$status"
