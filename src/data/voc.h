/* voc.h - labels in the XML of Pascal VOC: annotation/size/{width,height},
 * annotation/object/{name,bndbox/{xmin,ymin,xmax, ymax}}. Other elements do not matter. Parsed by expat. */
#ifndef MIXQ_DATA_VOC_H
#define MIXQ_DATA_VOC_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/dataset.h"

enum { MQ_VOC_BYTES = 1 << 20 }; /* of a file at most */

typedef struct mq_voc {
    int width, height;             /* of the image in pixels; 0 = not said */
    int objects;                   /* all of them; what follows is the first */
    char name[MQ_DATA_NAME];       /* UTF-8 */
    double xmin, ymin, xmax, ymax; /* edges in pixels, as they stand there; finite */
} mq_voc;

/* bytes: a whole file; path: its name, for messages. MQ_BAD_INPUT: not well-formed, a document type (where
 * entities come from), no annotation, a number that is none, an object without name or a whole box. No object
 * at all is not a fault. */
mq_status mq_voc_parse(const char *path, const uint8_t *bytes, size_t size, mq_voc *out,
                       mq_error *error) MQ_MUST_CHECK;
/* Writes labels of one object; filename: that of the image. voc->objects is ignored. */
mq_status mq_voc_write(const char *path, const char *filename, const mq_voc *voc,
                       mq_error *error) MQ_MUST_CHECK;

#endif
