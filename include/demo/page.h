/* Why: the page that the demo shows, src/demo/page.html, as bytes in the binary: the build makes
 * page.c of it. SPDX-License-Identifier: ISC */
#ifndef DEMO_PAGE_H
#define DEMO_PAGE_H

#include <stddef.h>

extern const unsigned char page_html[];
extern const size_t page_html_length;

#endif
