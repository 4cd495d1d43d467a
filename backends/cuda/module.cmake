# librk_cuda.so, which the engine opens when a pipeline asks for a device; and its objects, for tests.
file(GLOB cuda_src CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/*.c" "${CMAKE_CURRENT_LIST_DIR}/sim/*.c")
file(GLOB device_headers CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/engine/include/rkpipe/device/*.h")
set(device_texts "${CMAKE_CURRENT_BINARY_DIR}/device_texts.c")
set(shim "${CMAKE_CURRENT_LIST_DIR}/sim/shim.h")
add_custom_command(OUTPUT "${device_texts}" VERBATIM
  DEPENDS ${device_headers} "${shim}" "${CMAKE_SOURCE_DIR}/cmake/embed_device.cmake"
  COMMAND ${CMAKE_COMMAND} "-DROOT=${CMAKE_SOURCE_DIR}/engine/include" "-DFILES=${device_headers}" "-DSHIM=${shim}" "-DTO=${device_texts}"
    -P "${CMAKE_SOURCE_DIR}/cmake/embed_device.cmake")

# rkp_cuda_objects(TARGET SANITIZER): the simulated device's threads and its programs under the sanitizer of who links it.
function(rkp_cuda_objects target sanitizer)
  add_library(${target} OBJECT ${cuda_src} "${device_texts}")
  target_include_directories(${target} PUBLIC "${CMAKE_SOURCE_DIR}/engine/include" "${CMAKE_SOURCE_DIR}/backends")
  target_link_libraries(${target} PUBLIC rkp_flags Threads::Threads ${CMAKE_DL_LIBS})
  target_compile_definitions(${target} PRIVATE "RKC_SANITIZE_${sanitizer}")
endfunction()
if(RKP_SANITIZE STREQUAL "thread")
  rkp_cuda_objects(rk_cuda_objects THREAD)
elseif(RKP_SANITIZE STREQUAL "address")
  rkp_cuda_objects(rk_cuda_objects ADDRESS)
else()
  rkp_cuda_objects(rk_cuda_objects NONE)
endif()
# The switch of stacks, and what lanes hand to each other on one, is told to the sanitizers by hand; and it knows nothing of shadow stacks.
set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/sim/fiber.c" "${CMAKE_CURRENT_LIST_DIR}/sim/warp.c"
  TARGET_DIRECTORY rk_cuda_objects PROPERTIES COMPILE_OPTIONS "-fcf-protection=none;-fno-sanitize=thread")

add_library(rk_cuda MODULE $<TARGET_OBJECTS:rk_cuda_objects>)
target_link_libraries(rk_cuda PRIVATE rkp_flags Threads::Threads ${CMAKE_DL_LIBS})
set_target_properties(rk_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib/rkpipe" LINKER_LANGUAGE C)
