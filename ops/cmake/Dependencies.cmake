# Third-party packages, all from Debian 12. Each is an imported target, so their headers are SYSTEM.
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(Boost 1.81 EXACT REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(simdjson REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)

# Asio and Beast are header-only; the definitions must be the same in every unit that includes them.
add_library(turnpike_asio INTERFACE)
target_link_libraries(turnpike_asio INTERFACE Boost::headers OpenSSL::SSL Threads::Threads)
target_compile_definitions(turnpike_asio INTERFACE BOOST_ASIO_NO_DEPRECATED)
