/* pixels.h - the order of colour channels in an image of bytes. */
#ifndef MIXQ_IO_PIXELS_H
#define MIXQ_IO_PIXELS_H

/* Of three channels; an image of one channel is grey under either. */
typedef enum mq_channel_order {
    MQ_RGB, /* channel 0 is red */
    MQ_BGR  /* channel 0 is blue */
} mq_channel_order;

#endif
