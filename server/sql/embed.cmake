# Writes OUTPUT, a C file with the scripts named in STEPS and FUNCTIONS; see bundle.h.
#   cmake -DSTEPS=… -DFUNCTIONS=… -DOUTPUT=bundle.c -P embed.cmake
cmake_minimum_required(VERSION 3.22)

# Byte arrays instead of string literals: C compilers need not take literals above 4095 characters.
function(embed kind names)
    set(table "")
    foreach(name IN LISTS names)
        set(file ${CMAKE_CURRENT_LIST_DIR}/${kind}/${name}.sql)
        file(READ ${file} hex HEX)
        string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
        string(REGEX REPLACE "(................................................................................)"
               "\\1\n    " bytes "${bytes}")
        if(bytes MATCHES "0x[89a-f]")
            message(FATAL_ERROR "${file}: only ASCII, whatever client_encoding the server talks in")
        endif()
        string(APPEND code "static const char ${kind}_${name}[] = {\n    ${bytes}0x00};\n\n")
        string(APPEND table "    {\"${name}\", ${kind}_${name}},\n")
    endforeach()
    string(APPEND code "static const struct sql_script ${kind}[] = {\n${table}};\n\n")
    set(code "${code}" PARENT_SCOPE)
endfunction()

function(check_numbers names)
    set(number 0)
    foreach(name IN LISTS names)
        math(EXPR number "${number} + 1")
        if(NOT name MATCHES "^0*${number}_")
            message(FATAL_ERROR "step ${name} is not number ${number}")
        endif()
    endforeach()
endfunction()

function(hash_of names result)
    set(all "")
    foreach(name IN LISTS names)
        file(SHA256 ${CMAKE_CURRENT_LIST_DIR}/functions/${name}.sql hash)
        string(APPEND all "${name} ${hash}\n")
    endforeach()
    string(SHA256 hash "${all}")
    set(${result} ${hash} PARENT_SCOPE)
endfunction()

check_numbers("${STEPS}")
hash_of("${FUNCTIONS}" functions_hash)

set(code "/* Made by server/sql/embed.cmake. */\n#include \"server/sql/bundle.h\"\n\n")
embed(steps "${STEPS}")
embed(functions "${FUNCTIONS}")
embed(companion clear)
string(APPEND code "const struct sql_bundle sql_bundle = {
    .steps = steps,
    .step_count = sizeof(steps) / sizeof(steps[0]),
    .functions = functions,
    .function_count = sizeof(functions) / sizeof(functions[0]),
    .functions_hash = \"${functions_hash}\",
    .clear_companion = companion,
};
")
file(WRITE ${OUTPUT} "${code}")
