# cmake -DROOT=<source tree> -DTO=<C file> -P revision.cmake
set(rev "")
find_program(git git)
if(git AND EXISTS "${ROOT}/.git")
  execute_process(COMMAND ${git} -C "${ROOT}" describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE rev ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE rc)
  if(rc OR NOT rev MATCHES "^[0-9a-f]+(-dirty)?$")
    set(rev "")
  endif()
endif()
file(CONFIGURE OUTPUT "${TO}" CONTENT "extern const char rki_revision[];\nconst char rki_revision[] = \"${rev}\";\n" @ONLY)
