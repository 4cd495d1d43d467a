# cmake -DROOT=<folder> "-DFILES=<list of headers below it>" -DSHIM=<header> -DTO=<C file> -P embed_device.cmake: what device source includes, as
# texts (backends/cuda/texts.h).
function(text_of file out)
  file(READ "${file}" text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "?" "\\?" text "${text}")
  string(REPLACE "\t" "\\t" text "${text}")
  string(REPLACE "\n" "\\n\"\n      \"" text "${text}")
  set(${out} "\"${text}\"" PARENT_SCOPE)
endfunction()

set(rows "")
foreach(f ${FILES})
  text_of("${f}" text)
  file(RELATIVE_PATH name "${ROOT}" "${f}")
  string(APPEND rows "    { \"${name}\",\n      ${text} },\n")
endforeach()
text_of("${SHIM}" shim)
file(WRITE "${TO}" "// Written by the build from rkpipe/device and cuda/sim/shim.h; do not edit.
#include \"cuda/texts.h\"

const rkc_text rkc_device_texts[] = {
${rows}};
const size_t rkc_n_device_texts = sizeof rkc_device_texts / sizeof *rkc_device_texts;
const char rkc_sim_shim[] = ${shim};
")
