# Expressions and rules beside promtool; the long runs are slow.  Programs with a mistake each must be found out.
set(dir "${CMAKE_CURRENT_SOURCE_DIR}/oracle/promtool")
set(watch "${CMAKE_SOURCE_DIR}/engine/watch")

function(promtool_program name)
  target_sources(${name} PRIVATE "${dir}/world.c")
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/engine" "${CMAKE_CURRENT_SOURCE_DIR}/oracle")
  target_link_libraries(${name} PRIVATE rkp_watch)
endfunction()

# promtool_mutant(PROGRAM NAME FILE FROM TO ARGS..): engine/watch/FILE with FROM replaced by TO, in place of the library's own.
function(promtool_mutant program name file from to)
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${program}_${name}.c")
  set(mutate "${CMAKE_CURRENT_SOURCE_DIR}/model/mutate.cmake")
  add_custom_command(OUTPUT ${out} DEPENDS ${watch}/${file} ${mutate} VERBATIM
    COMMAND ${CMAKE_COMMAND} -DIN=${watch}/${file} -DOUT=${out} "-DFROM=${from}" "-DTO=${to}" -P ${mutate})
  add_executable(oracle_${program}_${name} "${CMAKE_CURRENT_SOURCE_DIR}/oracle/${program}.c" ${out})
  promtool_program(oracle_${program}_${name})
  add_test(NAME oracle.${program}_${name} COMMAND oracle_${program}_${name} ${ARGN} must-differ)
  set_tests_properties(oracle.${program}_${name} PROPERTIES LABELS oracle TIMEOUT 300 SKIP_RETURN_CODE 77)
endfunction()

promtool_program(oracle_promtool)
add_test(NAME oracle.promtool_all COMMAND oracle_promtool 100000 7)
set_tests_properties(oracle.promtool_all PROPERTIES LABELS "oracle;slow" TIMEOUT 1800 SKIP_RETURN_CODE 77)
promtool_mutant(promtool no_extrapolation promql_functions.c "factor = whole / sampled" "factor = whole > 0 ? 1 : sampled" 2000 1)
promtool_mutant(promtool no_reset promql_functions.c "if (v[i].v < v[i - 1].v)" "if (false)" 2000 1)
promtool_mutant(promtool back_exclusive series.c ">= ms - back@ t--" "> ms - back@ t--" 2000 1)

promtool_program(oracle_promtool_rules)
add_test(NAME oracle.promtool_rules_all COMMAND oracle_promtool_rules 1000000 7)
set_tests_properties(oracle.promtool_rules_all PROPERTIES LABELS "oracle;slow" TIMEOUT 1800 SKIP_RETURN_CODE 77)
promtool_mutant(promtool_rules keep_exclusive rules.c "t->ms - a->keep_since_ms >= r->conf.keep_ms"
  "t->ms - a->keep_since_ms > r->conf.keep_ms" 20000 1)
promtool_mutant(promtool_rules for_exclusive rules.c "t->ms - a->active_ms >= r->conf.for_ms"
  "t->ms - a->active_ms > r->conf.for_ms" 20000 1)

# The same series and rules in `rkpipe test` and in `promtool test rules`.
foreach(run "ptest 10 1" "ptest_all 1000 7")
  separate_arguments(run)
  list(POP_FRONT run name)
  add_test(NAME oracle.${name} COMMAND python3 "${CMAKE_CURRENT_SOURCE_DIR}/oracle/ptest.py" $<TARGET_FILE:rkpipe> ${run})
  set_tests_properties(oracle.${name} PROPERTIES LABELS oracle TIMEOUT 300 SKIP_RETURN_CODE 77)
endforeach()
set_tests_properties(oracle.ptest_all PROPERTIES LABELS "oracle;slow" TIMEOUT 3600)
