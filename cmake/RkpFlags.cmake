# Flags that every target of the project has: warnings, hardening, and the sanitizers of a preset.
add_library(rkp_flags INTERFACE)
target_compile_definitions(rkp_flags INTERFACE _GNU_SOURCE)
target_compile_options(rkp_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
  -ffp-contract=off -fno-math-errno -fno-trapping-math
  -fstack-protector-strong -fstack-clash-protection -fcf-protection=full)
target_link_options(rkp_flags INTERFACE
  -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -Wl,--as-needed)

set(RKP_SANITIZE "" CACHE STRING "address, thread, or empty")
if(RKP_SANITIZE STREQUAL "address")
  set(san -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(RKP_SANITIZE STREQUAL "thread")
  set(san -fsanitize=thread -fno-omit-frame-pointer)
endif()
if(san)
  target_compile_options(rkp_flags INTERFACE ${san})
  target_link_options(rkp_flags INTERFACE ${san})
elseif(CMAKE_BUILD_TYPE MATCHES "Release|RelWithDebInfo")
  target_compile_options(rkp_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
option(RKP_COVERAGE "instrument for gcovr" OFF)
if(RKP_COVERAGE)
  target_compile_options(rkp_flags INTERFACE --coverage -O0)
  target_link_options(rkp_flags INTERFACE --coverage)
endif()
