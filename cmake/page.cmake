# cmake -DFROM=<engine/admin/page> -DTO=<C file> -P page.cmake: the status page as one text, and the policy that its answer has.
# page.html has `@STYLE@` and `@SCRIPT@` where page.css and the scripts (in the order of their names) go; the policy lets in these
# two, by their hashes, and the API.

function(base64 hex out)
  set(digits ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  set(text "")
  string(LENGTH "${hex}" n)
  foreach(at RANGE 0 ${n} 6) # three bytes are four digits
    string(SUBSTRING "${hex}" ${at} 6 three)
    string(LENGTH "${three}" have)
    if(have EQUAL 0)
      break()
    endif()
    string(SUBSTRING "${three}000000" 0 6 three)
    foreach(shift 18 12 6 0)
      math(EXPR digit "(0x${three} >> ${shift}) & 63")
      math(EXPR bits "24 - ${shift} - 6")
      math(EXPR there "${have} * 4")
      if(bits LESS there)
        string(SUBSTRING ${digits} ${digit} 1 c)
        string(APPEND text ${c})
      else()
        string(APPEND text =)
      endif()
    endforeach()
  endforeach()
  set(${out} ${text} PARENT_SCOPE)
endfunction()

file(READ "${FROM}/page.html" page)
file(READ "${FROM}/page.css" style)
file(GLOB scripts "${FROM}/*.js")
list(SORT scripts)
set(script "")
foreach(f ${scripts})
  file(READ "${f}" text)
  string(APPEND script "${text}")
endforeach()
set(script "'use strict';\n(() => {\n${script}})();\n")
string(SHA256 of_style "${style}")
string(SHA256 of_script "${script}")
base64("${of_style}" of_style)
base64("${of_script}" of_script)
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@SCRIPT@" "${script}" page "${page}")
string(REPLACE "\\" "\\\\" page "${page}")
string(REPLACE "\"" "\\\"" page "${page}")
string(REPLACE "?" "\\?" page "${page}")
string(REPLACE "\t" "\\t" page "${page}")
string(REPLACE "\n" "\\n\"\n    \"" page "${page}")
string(CONCAT policy "default-src 'none'; script-src 'sha256-${of_script}'; style-src 'sha256-${of_style}'; connect-src 'self'; "
  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
file(WRITE "${TO}" "// Written by the build from engine/admin/page/; do not edit.
#include \"admin/page.h\"

const char rki_page[] =
    \"${page}\";
const size_t rki_page_bytes = sizeof rki_page - 1;
const char rki_page_fields[] = \"Content-Security-Policy: ${policy}\\r\\n\"
                               \"Referrer-Policy: same-origin\\r\\n\"
                               \"X-Frame-Options: DENY\\r\\n\"
                               \"Cross-Origin-Opener-Policy: same-origin\\r\\n\"
                               \"Cross-Origin-Resource-Policy: same-origin\\r\\n\";
")
