# oneDNN, as target DNNL::dnnl. Its own CMake package insists on the OpenCL headers, which the C interface does not need.
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h)
find_library(DNNL_LIBRARY dnnl)
if(NOT DNNL_INCLUDE_DIR OR NOT DNNL_LIBRARY)
  message(FATAL_ERROR "oneDNN not found: install libdnnl-dev (make deps), or build the deploy side alone: -DMIXQ_TRAIN=OFF")
endif()
file(STRINGS ${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h DNNL_MAJOR REGEX "define DNNL_VERSION_MAJOR")
string(REGEX REPLACE ".* " "" DNNL_MAJOR "${DNNL_MAJOR}")
if(NOT DNNL_MAJOR EQUAL 2)
  message(FATAL_ERROR "oneDNN ${DNNL_MAJOR}.x found: 2.x expected (3.x changed the interface that src/dnn uses)")
endif()
add_library(DNNL::dnnl UNKNOWN IMPORTED)
set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${DNNL_LIBRARY}
                                            INTERFACE_INCLUDE_DIRECTORIES ${DNNL_INCLUDE_DIR})
