# `cmake --install`: the program, its manual page and completion, and libmixq: the deploy side as one static library
# with its public headers, a pkg-config file and a CMake package (docs/api.md).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(MIXQ_LIBRARY_MODULES base tensor io quant pack work inet sim accel gen)
# What a user may include; what they include themselves is here too, which tests/install checks.
set(MIXQ_PUBLIC_HEADERS
    base/digest.h base/memory.h base/parallel.h base/status.h io/json.h tensor/real_input.h
    inet/certificate.h inet/inet.h inet/inet_plan.h inet/manifest.h sim/sim.h gen/plain_c.h
    pack/built.h pack/draw.h pack/dsp.h pack/explorer.h pack/packing.h pack/packing_file.h pack/plan.h pack/solver.h)

function(mixq_install)
  if(NOT TARGET mixq_sim OR NOT TARGET mixq)
    return()
  endif()
  set(objects "")
  foreach(module ${MIXQ_LIBRARY_MODULES})
    if(TARGET mixq_${module})
      list(APPEND objects $<TARGET_OBJECTS:mixq_${module}>)
    endif()
  endforeach()
  add_library(mixq_library STATIC ${objects})
  set_target_properties(mixq_library PROPERTIES OUTPUT_NAME mixq EXPORT_NAME mixq LINKER_LANGUAGE C)
  target_include_directories(mixq_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/mixq>)
  target_link_libraries(mixq_library INTERFACE PkgConfig::JANSSON PkgConfig::YAML PkgConfig::LIBMD ZLIB::ZLIB JPEG::JPEG
                                               PNG::PNG OpenMP::OpenMP_C Threads::Threads m)

  set(generated ${PROJECT_BINARY_DIR}/install)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/mixq.h.in ${generated}/mixq.h @ONLY)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/mixq.pc.in ${generated}/mixq.pc @ONLY)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/mixqConfig.cmake.in ${generated}/mixqConfig.cmake
                                INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mixq)
  write_basic_package_version_file(${generated}/mixqConfigVersion.cmake VERSION ${PROJECT_VERSION}
                                   COMPATIBILITY SameMinorVersion)
  add_custom_command(
    OUTPUT ${generated}/mixq.1 ${generated}/mixq.bash
    COMMAND mixq help --format man > ${generated}/mixq.1
    COMMAND mixq help --format bash > ${generated}/mixq.bash
    DEPENDS mixq)
  add_custom_target(mixq_manual ALL DEPENDS ${generated}/mixq.1 ${generated}/mixq.bash)

  install(TARGETS mixq RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(TARGETS mixq_library EXPORT mixq_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  foreach(header ${MIXQ_PUBLIC_HEADERS})
    get_filename_component(folder ${header} DIRECTORY)
    install(FILES ${PROJECT_SOURCE_DIR}/src/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mixq/${folder})
  endforeach()
  install(FILES ${generated}/mixq.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mixq)
  install(FILES ${generated}/mixq.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(EXPORT mixq_targets NAMESPACE mixq:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mixq)
  install(FILES ${generated}/mixqConfig.cmake ${generated}/mixqConfigVersion.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mixq)
  install(FILES ${generated}/mixq.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${generated}/mixq.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME mixq)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
endfunction()
