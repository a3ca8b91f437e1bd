/* voc.c - a label in Pascal VOC's XML. */
#include <math.h>
#include <string.h>

#include "data/voc.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mq_voc voc;
    mq_error error = {0};
    if (!fuzz_accepted(mq_voc_parse("fuzz.xml", data, size, &voc, &error), &error, MQ_OK)) return 0;
    fuzz_demand(voc.width >= 0 && voc.height >= 0 && voc.objects >= 0, "a size");
    if (voc.objects)
        fuzz_demand(isfinite(voc.xmin) && isfinite(voc.ymin) && isfinite(voc.xmax) && isfinite(voc.ymax) &&
                        memchr(voc.name, 0, sizeof voc.name) != NULL,
                    "an object");
    return 0;
}
