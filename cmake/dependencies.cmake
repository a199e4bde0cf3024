# Finds every library the product needs and says in one line which Debian/Ubuntu package is missing. With MTRANK_PORTABLE
# archives go before shared libraries: yaml-cpp is 0.7 in Debian 12 and 0.8 in Ubuntu 24.04, and a machine that only runs
# the programs may have none.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

add_library(mtrank_dependencies INTERFACE)
target_link_libraries(mtrank_dependencies INTERFACE Threads::Threads)

function(mtrank_need header library package)
  string(MAKE_C_IDENTIFIER "${header}" id)
  find_path(${id}_DIR ${header})
  if(NOT ${id}_DIR)
    message(FATAL_ERROR "mtrank needs ${package}: ${header} was not found. Install it: apt-get install ${package}")
  endif()
  if(library)
    if(MTRANK_PORTABLE)
      find_library(${id}_LIB lib${library}.a)
    endif()
    find_library(${id}_LIB ${library})
    if(NOT ${id}_LIB)
      message(FATAL_ERROR "mtrank needs ${package}: lib${library} was not found. Install it: apt-get install ${package}")
    endif()
    target_link_libraries(mtrank_dependencies INTERFACE ${${id}_LIB})
  endif()
endfunction()

mtrank_need(yaml-cpp/yaml.h yaml-cpp libyaml-cpp-dev)
mtrank_need(CLI/CLI.hpp "" libcli11-dev)
if(MTRANK_PORTABLE)  # Debian's libfmt-dev has no archive
  mtrank_need(fmt/format.h "" libfmt-dev)
  target_compile_definitions(mtrank_dependencies INTERFACE FMT_HEADER_ONLY=1)
  target_link_options(mtrank_dependencies INTERFACE -static-libstdc++ -static-libgcc)
else()
  mtrank_need(fmt/format.h fmt libfmt-dev)
endif()
mtrank_need(nlohmann/json.hpp "" nlohmann-json3-dev)
mtrank_need(zlib.h z zlib1g-dev)
mtrank_need(zstd.h zstd libzstd-dev)
mtrank_need(xxhash.h "" libxxhash-dev)

# yaml-cpp's headers do not say their version; `mtrank doctor` wants to.
pkg_check_modules(YAML_CPP QUIET yaml-cpp)
set_source_files_properties(framework/cli/doctor.cpp PROPERTIES COMPILE_DEFINITIONS
  MTRANK_YAML_CPP_VERSION="${YAML_CPP_VERSION}")
