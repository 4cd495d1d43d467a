# What the command line has from the build: the version, the git revision, and the files of pipelines/ as templates.
set(gen "${CMAKE_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${gen}")

# Looked at in every build, written only when it changes; empty without git.
add_custom_target(rkp_revision BYPRODUCTS "${gen}/revision.c"
  COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR} -DTO=${gen}/revision.c
    -P "${CMAKE_SOURCE_DIR}/cmake/revision.cmake" VERBATIM)
add_dependencies(rkp_cli rkp_revision)

file(GLOB templates CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/pipelines/*.yaml")
list(SORT templates)
add_custom_command(OUTPUT "${gen}/templates.c"
  COMMAND ${CMAKE_COMMAND} "-DFILES=${templates}" -DTO=${gen}/templates.c -P "${CMAKE_SOURCE_DIR}/cmake/embed.cmake"
  DEPENDS ${templates} "${CMAKE_SOURCE_DIR}/cmake/embed.cmake" VERBATIM)

target_sources(rkp_cli PRIVATE "${gen}/templates.c" "${gen}/revision.c")
target_compile_definitions(rkp_cli PRIVATE RKI_VERSION="${PROJECT_VERSION}")
