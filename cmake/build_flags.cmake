# Flags every target of ours is built with; linked as `build_flags`.
add_library(build_flags INTERFACE)
target_include_directories(build_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(build_flags INTERFACE _GNU_SOURCE ELECTRIC_VERSION="${PROJECT_VERSION}")
target_compile_options(build_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes
    -Wmissing-prototypes -Wundef -Wvla -fvisibility=hidden -fno-strict-aliasing
    -fstack-protector-strong)

if(WITH_WERROR)
    target_compile_options(build_flags INTERFACE -Werror)
endif()

if(WITH_SANITIZERS)
    target_compile_options(build_flags INTERFACE
        -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(build_flags INTERFACE -fsanitize=address,undefined)
elseif(CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_options(build_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    target_link_options(build_flags INTERFACE -Wl,-z,relro,-z,now)
endif()

if(WITH_FUZZERS)
    target_compile_options(build_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
