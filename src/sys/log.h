#pragma once
#include <glib.h>

/*
 * The one log path. To the journal if standard error is one (with its priority prefix), else to
 * Q_LOG_DIR/NAME.log for daemons, else to standard error. Whoever returns an error does not log
 * it; a failure that we survive is logged where we survive it.
 */
void q_log_init(const char *program); /* daemons, once, first thing; commands need not */

void q_log_debug_enable(gboolean on);
void q_debug(const char *format, ...) G_GNUC_PRINTF(1, 2);
void q_info(const char *format, ...) G_GNUC_PRINTF(1, 2);
void q_notice(const char *format, ...) G_GNUC_PRINTF(1, 2);
void q_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);
void q_err(const char *format, ...) G_GNUC_PRINTF(1, 2);
