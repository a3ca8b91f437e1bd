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

# Protobuf messages: mixq_protobuf(module file.proto) makes file.pb-c.h and .c in the build folder with protobuf-c's compiler.
function(mixq_protobuf module proto)
  if(NOT TARGET mixq_${module})
    return()
  endif()
  get_filename_component(stem ${proto} NAME_WE)
  get_filename_component(from ${PROJECT_SOURCE_DIR}/${proto} DIRECTORY)
  set(out ${PROJECT_BINARY_DIR}/protobuf)
  file(MAKE_DIRECTORY ${out})
  add_custom_command(
    OUTPUT ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h
    COMMAND ${PROTOC_C} --c_out=${out} -I ${from} ${from}/${stem}.proto
    DEPENDS ${from}/${stem}.proto
    VERBATIM)
  set_source_files_properties(${out}/${stem}.pb-c.c PROPERTIES COMPILE_OPTIONS "-w")
  target_sources(mixq_${module} PRIVATE ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h)
  target_include_directories(mixq_${module} SYSTEM PRIVATE ${out})
endfunction()
