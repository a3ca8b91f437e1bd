# make example: the host's program. make sim_hls, sim_rtl: what answers it when there is no board (docs/hls.md of mixq).
CC ?= cc
CXX ?= g++
CFLAGS ?= -O2
CXXFLAGS ?= -O2
HLS ?= $(if $(wildcard ../hls/top.cpp),../hls,..)
RTL ?= ../rtl
TOP ?= $(shell sed -n 's/.*"top": *"\([^"]*\)".*/\1/p' ../build.json)
FLAGS := -std=c11 -Wall -Wextra -I.
LIBRARY := mixq_host.c mixq_decode.c transport_sim.c transport_uio.c

example: example.c $(LIBRARY) $(wildcard *.h sim/*.h)
	$(CC) $(FLAGS) $(CFLAGS) -o $@ example.c $(LIBRARY) -lm

sim_hls: sim/sim_hls.cpp $(wildcard *.h sim/*.h)
	mkdir -p sim_hls.obj
	$(MAKE) -s -C sim_hls.obj -f $(abspath $(HLS))/Makefile SRC=$(abspath $(HLS)) bench
	$(CXX) -std=c++14 -DAP_INT_MAX_W=4096 -Wno-unknown-pragmas -I. -Isim -I$(HLS) -I$(HLS)/standin $(CXXFLAGS) -o $@ $< \
	    $$(ls sim_hls.obj/*.o | grep -v /bench.o)

# The memories' files are read from the folder where the simulation runs, as the RTL's own bench does.
sim_rtl: sim/sim_rtl.cpp $(wildcard *.h sim/*.h $(RTL)/*.v)
	verilator --cc --exe --build -O3 --x-assign fast --noassert -Wno-fatal --top-module $(TOP) --Mdir sim_rtl.obj -o ../$@ \
	    -CFLAGS "-std=c++17 -O2 -I$(CURDIR) -I$(CURDIR)/sim -DMIXQ_MODEL=V$(TOP) '-DMIXQ_HEADER=\"V$(TOP).h\"'" \
	    $(VERILATOR_FLAGS) $(wildcard $(RTL)/*.v $(RTL)/sim/*.v) $(CURDIR)/sim/sim_rtl.cpp

clean:
	rm -rf example sim_hls sim_rtl sim_hls.obj sim_rtl.obj

.PHONY: clean
