# Debian packages: `cpack -G DEB` in the build directory makes one for each program.
#
# What has its place outside the prefix (/etc, the units) is only for packages: EXCLUDE_FROM_ALL keeps
# `cmake --install --prefix …` inside its prefix.
set(CPACK_PACKAGE_NAME electric-tunnel)
set(CPACK_PACKAGE_CONTACT "electric-tunnel maintainers <maintainers@electric-tunnel.example>"
    CACHE STRING "who makes the packages")
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_COMPONENTS_ALL electric-proxy electric-tunnel)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_ELECTRIC-PROXY_PACKAGE_NAME electric-proxy)
set(CPACK_DEBIAN_ELECTRIC-PROXY_PACKAGE_SECTION database)
set(CPACK_DEBIAN_ELECTRIC-PROXY_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_ELECTRIC-PROXY_DESCRIPTION "migrations proxy for Postgres, over HTTP or TCP
Gives Postgres the statements of electrified tables, checks and records
migrations for client applications, and accepts connections of migration
tools through a WebSocket where no TCP port can be had.")
set(CPACK_DEBIAN_ELECTRIC-TUNNEL_PACKAGE_NAME electric-tunnel)
set(CPACK_DEBIAN_ELECTRIC-TUNNEL_PACKAGE_SECTION net)
set(CPACK_DEBIAN_ELECTRIC-TUNNEL_DESCRIPTION "Postgres through networks that only speak HTTP
Listens for Postgres clients on a local port or unix socket, and carries
each connection over a WebSocket, through HTTP and SOCKS proxies, to
electric-proxy.")

# The changelog's date is the version's (RFC 5322); gzip -n leaves out the time of the build.
execute_process(COMMAND date --utc --date=${ELECTRIC_RELEASE_DATE} --rfc-email
                OUTPUT_VARIABLE changelog_date OUTPUT_STRIP_TRAILING_WHITESPACE)
configure_file(${PROJECT_SOURCE_DIR}/deploy/debian/changelog.in ${PROJECT_BINARY_DIR}/changelog.Debian @ONLY)
add_custom_command(
    OUTPUT ${PROJECT_BINARY_DIR}/changelog.Debian.gz
    COMMAND ${GZIP} -9nc ${PROJECT_BINARY_DIR}/changelog.Debian > ${PROJECT_BINARY_DIR}/changelog.Debian.gz
    DEPENDS ${PROJECT_BINARY_DIR}/changelog.Debian
    VERBATIM)
add_custom_target(package-changelog ALL DEPENDS ${PROJECT_BINARY_DIR}/changelog.Debian.gz)

function(add_package component unit environment)
    string(TOUPPER ${component} name)
    set(scripts ${PROJECT_SOURCE_DIR}/deploy/debian/${component})
    set(CPACK_DEBIAN_${name}_PACKAGE_CONTROL_EXTRA
        ${scripts}/conffiles ${scripts}/postinst ${scripts}/prerm ${scripts}/postrm PARENT_SCOPE)
    install(FILES ${PROJECT_BINARY_DIR}/changelog.Debian.gz ${PROJECT_SOURCE_DIR}/deploy/debian/copyright
            DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${component}
            COMPONENT ${component} EXCLUDE_FROM_ALL)
    install(FILES ${PROJECT_SOURCE_DIR}/deploy/systemd/${unit} DESTINATION /lib/systemd/system
            COMPONENT ${component} EXCLUDE_FROM_ALL)
    install(FILES ${PROJECT_SOURCE_DIR}/deploy/systemd/${environment} DESTINATION /etc/${component}
            PERMISSIONS OWNER_READ OWNER_WRITE
            COMPONENT ${component} EXCLUDE_FROM_ALL)
endfunction()

add_package(electric-proxy electric-proxy.service electric-proxy.env)
add_package(electric-tunnel electric-tunnel@.service example.env)

include(CPack)
