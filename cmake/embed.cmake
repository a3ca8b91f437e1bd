# Data files that travel inside the binary: mixq_embed(module symbol pattern) generates a table
#   const mq_embedded_file symbol[] = {{"vgg_tiny.yaml", bytes, size}, ..., {0}};   (type in base/embedded.h)
function(mixq_embed module symbol pattern)
  if(NOT TARGET mixq_${module})
    return()
  endif()
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${pattern})
  set(out ${PROJECT_BINARY_DIR}/embedded/${symbol}.c)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DSYMBOL=${symbol} "-DFILES=${files}" -P
            ${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake
    DEPENDS ${files} ${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake
    VERBATIM)
  target_sources(mixq_${module} PRIVATE ${out})
endfunction()
