# Finds every library the product needs and says in one line which Debian/Ubuntu package is missing.
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
    find_library(${id}_LIB ${library})
    if(NOT ${id}_LIB)
      message(FATAL_ERROR "mtrank needs ${package}: lib${library} was not found. Install it: apt-get install ${package}")
    endif()
    target_link_libraries(mtrank_dependencies INTERFACE ${${id}_LIB})
  endif()
endfunction()

mtrank_need(yaml-cpp/yaml.h yaml-cpp libyaml-cpp-dev)
mtrank_need(CLI/CLI.hpp "" libcli11-dev)
mtrank_need(fmt/format.h fmt libfmt-dev)
mtrank_need(nlohmann/json.hpp "" nlohmann-json3-dev)
mtrank_need(zlib.h z zlib1g-dev)
mtrank_need(zstd.h zstd libzstd-dev)
mtrank_need(xxhash.h "" libxxhash-dev)

# yaml-cpp's headers do not say their version; `mtrank doctor` wants to.
pkg_check_modules(YAML_CPP QUIET yaml-cpp)
set_source_files_properties(framework/cli/doctor.cpp PROPERTIES COMPILE_DEFINITIONS
  MTRANK_YAML_CPP_VERSION="${YAML_CPP_VERSION}")
