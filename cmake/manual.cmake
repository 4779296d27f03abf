# Manual pages and shell completions, made by the program itself from its option table, so that they
# cannot differ from it.
find_program(GZIP gzip REQUIRED)

function(add_manual target section)
    set(folder ${CMAKE_BINARY_DIR}/manual)
    set(page ${folder}/${target}.${section})
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(
        OUTPUT ${page} ${page}.gz ${folder}/${target}.bash ${folder}/_${target} ${folder}/${target}.fish
        COMMAND ${target} --options-man > ${page}
        COMMAND ${GZIP} -9nc ${page} > ${page}.gz
        COMMAND ${target} --completion bash > ${folder}/${target}.bash
        COMMAND ${target} --completion zsh > ${folder}/_${target}
        COMMAND ${target} --completion fish > ${folder}/${target}.fish
        DEPENDS ${target}
        COMMENT "Manual page and completions of ${target}"
        VERBATIM)
    add_custom_target(${target}-manual ALL DEPENDS ${page}.gz)

    install(FILES ${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${target})
    install(FILES ${folder}/${target}.bash RENAME ${target}
            DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT ${target})
    install(FILES ${folder}/_${target}
            DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT ${target})
    install(FILES ${folder}/${target}.fish
            DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT ${target})
endfunction()
