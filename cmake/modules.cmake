# One static library per folder under src/. USES names the modules it may include (directions are enforced by a test),
# LIBS the outside libraries.
set(MIXQ_MODULES "" CACHE INTERNAL "")

function(mixq_module name)
  cmake_parse_arguments(M "" "" "USES;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(mixq_${name} STATIC ${sources})
  target_include_directories(mixq_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(mixq_${name} PRIVATE MIXQ_VERSION="${PROJECT_VERSION}")
  foreach(use ${M_USES})
    if(TARGET mixq_${use})
      target_link_libraries(mixq_${name} PUBLIC mixq_${use})
    endif()
  endforeach()
  target_link_libraries(mixq_${name} PUBLIC ${M_LIBS})
  set(MIXQ_MODULES ${MIXQ_MODULES} mixq_${name} CACHE INTERNAL "")
endfunction()

# The command line: one file per sub-command. These need the training side.
set(MIXQ_TRAIN_COMMANDS search_command search_run search_hooks train_command test_command import_command export_command export_vectors bench_command bench_step
                        cost_command bits_file run_options confusion pareto_command pareto_setup pareto_base pareto_runs pareto_work pareto_results)

function(mixq_program)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*.c)
  if(NOT MIXQ_TRAIN)
    string(JOIN "|" train_commands ${MIXQ_TRAIN_COMMANDS})
    list(FILTER sources EXCLUDE REGEX "/(${train_commands})\\.c$")
  endif()
  if(NOT sources)
    return()
  endif()
  add_executable(mixq ${sources})
  target_compile_definitions(mixq PRIVATE MIXQ_VERSION="${PROJECT_VERSION}" $<$<BOOL:${MIXQ_TRAIN}>:MIXQ_TRAIN=1>)
  target_link_libraries(mixq PRIVATE ${MIXQ_MODULES})
endfunction()
