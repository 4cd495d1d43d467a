# What the admin room has from the build: the status page.
set(gen "${CMAKE_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${gen}")
set(from "${CMAKE_SOURCE_DIR}/engine/admin/page")
file(GLOB page CONFIGURE_DEPENDS "${from}/*")
add_custom_command(OUTPUT "${gen}/page.c"
  COMMAND ${CMAKE_COMMAND} -DFROM=${from} -DTO=${gen}/page.c -P "${CMAKE_SOURCE_DIR}/cmake/page.cmake"
  DEPENDS ${page} "${CMAKE_SOURCE_DIR}/cmake/page.cmake" VERBATIM)
target_sources(rkp_admin PRIVATE "${gen}/page.c")
