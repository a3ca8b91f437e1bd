/* report_net.h - the part of a page that is about one integer network. For the files of this room. */
#ifndef MIXQ_REPORT_REPORT_NET_H
#define MIXQ_REPORT_REPORT_NET_H

#include "report/report.h"

void mq_report_net(const mq_report *report, int index, mq_page *page);

#endif
