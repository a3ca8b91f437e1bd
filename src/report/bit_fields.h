/* bit_fields.h - a packing drawn as bit fields: the two port words and the fields of P. */
#ifndef MIXQ_REPORT_BIT_FIELDS_H
#define MIXQ_REPORT_BIT_FIELDS_H

#include "pack/packing.h"
#include "report/chart.h"

void mq_bit_fields_svg(const mq_packing *packing, const char *title, bool alone, mq_page *page);

#endif
