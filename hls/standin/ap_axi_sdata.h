// ap_axi_sdata.h - the signals of an AXI4-Stream, for simulation without Vitis.
#ifndef MIXQ_HLS_STANDIN_AP_AXI_SDATA_H
#define MIXQ_HLS_STANDIN_AP_AXI_SDATA_H

#include "ap_int.h"

// Widths of 0 stand for signals that are left out.
template <int D, int U = 0, int I = 0, int T = 0> struct ap_axiu {
    ap_uint<D> data;
    ap_uint<(D + 7) / 8> keep, strb;
    ap_uint<U ? U : 1> user;
    ap_uint<1> last;
    ap_uint<I ? I : 1> id;
    ap_uint<T ? T : 1> dest;
};

#endif
