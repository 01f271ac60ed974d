/* Why: the notify socket is open to every process of the machine; only the kernel's word about the
 * sender counts. SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "supervisor/notify.h"

static struct event_base *base;
static struct notify *notify;
static int words;
static struct {
	pid_t pid;
	enum notify_word word;
	char status[2048];
} heard[256];

static void on_word(pid_t pid, enum notify_word word, const char *status, void *arg)
{
	assert_ptr_equal(arg, &words);
	heard[words % 256].pid = pid;
	heard[words % 256].word = word;
	snprintf(heard[words % 256].status, sizeof heard->status, "%s", status ? status : "(null)");
	words++;
}

static int begin(void **state)
{
	struct error e = { "" };

	words = 0;
	base = event_base_new();
	if (scratch_begin(state) < 0)
		return -1;
	notify = notify_open(base, scratch, on_word, &words, &e);
	return notify ? 0 : -1;
}

static int end(void **state)
{
	notify_close(&notify);
	event_base_free(base);
	return scratch_end(state);
}

/* As sd_notify does. `fd` >= 0 goes along. */
static bool say(const void *text, size_t length, int fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	union {
		char bytes[CMSG_SPACE(sizeof fd)];
		struct cmsghdr head;
	} control = { .head = { .cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(sizeof fd) } };
	char copy[8192];
	struct iovec part = { .iov_base = copy, .iov_len = length };
	struct msghdr message = { .msg_name = &to,
				  .msg_namelen = sizeof to,
				  .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = fd >= 0 ? &control : NULL,
				  .msg_controllen = fd >= 0 ? sizeof control : 0 };
	int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool sent;

	memcpy(copy, text, length);
	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	snprintf(to.sun_path, sizeof to.sun_path, "%s", notify_path(notify));
	sent = sendmsg(from, &message, MSG_DONTWAIT) == (ssize_t)length;
	fd_close(&from);
	return sent;
}

static void say_text(const char *text)
{
	assert_true(say(text, strlen(text), -1));
}

/* Worry: a word is missed, or words that are not ours count. */
static void test_words(void **state)
{
	(void)state;
	say_text("READY=1\nSTATUS=serving\nMAINPID=1\nUNKNOWN=1");
	say_text("WATCHDOG=1\n");
	say_text("STOPPING=1");
	say_text("READY=0\nREADY=11\nWATCHDOG=trigger\nXREADY=1\n");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(words, 4);
	assert_int_equal(heard[0].word, NOTIFY_READY);
	assert_string_equal(heard[0].status, "(null)");
	assert_int_equal(heard[1].word, NOTIFY_STATUS);
	assert_string_equal(heard[1].status, "serving");
	assert_int_equal(heard[2].word, NOTIFY_WATCHDOG);
	assert_int_equal(heard[3].word, NOTIFY_STOPPING);
	assert_int_equal(heard[3].pid, getpid());
}

/* Worry: a process speaks for another one. The pid is the kernel's, whoever else's number the text
 * names. */
static void test_sender(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(say("READY=1\nMAINPID=1", 17, -1) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(words, 1);
	assert_int_equal(heard[0].pid, pid);
}

/* Worry: a worker of another user cannot speak to us. */
static void test_open_to_all(void **state)
{
	struct stat st;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(stat(notify_path(notify), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	if (geteuid() != 0)
		return;
	pid = fork();
	if (pid == 0)
		_exit(setuid(65534) == 0 && say("READY=1", 7, -1) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(words, 1);
}

/* Worry: descriptors that come along fill our table. The word itself counts, and a sender that
 * waits for its pipe to be closed (BARRIER=1) gets that. */
static void test_descriptors_are_refused(void **state)
{
	int barrier[2];
	char byte;

	(void)state;
	assert_int_equal(pipe2(barrier, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(say("READY=1", 7, barrier[1]));
	fd_close(&barrier[1]);
	assert_int_equal(read(barrier[0], &byte, 1), -1); /* the datagram still holds it */
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(read(barrier[0], &byte, 1), 0);
	assert_int_equal(words, 1);
	fd_close(&barrier[0]);
}

/* Worry (FAULTS 105): a status forges log lines or is longer than any line. */
static void test_status_is_escaped(void **state)
{
	char text[3000] = "STATUS=";

	(void)state;
	say_text("STATUS=a\x1b[1m\\\xc3\xa4");
	memset(text + 7, 'z', 2000);
	say_text(text);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(words, 2);
	assert_string_equal(heard[0].status, "a\\x1b[1m\\x5c\\xc3\\xa4");
	assert_int_equal(strlen(heard[1].status), 259);
	assert_string_equal(heard[1].status + 256, "...");
}

/* Worry: garbage ends or confuses us: empty, NULs inside, too long. */
static void test_garbage(void **state)
{
	static char big[8000] = "READY=1\n";

	(void)state;
	assert_true(say("", 0, -1));
	assert_true(say("READY=1\0READY=1", 15, -1));
	memset(big + 8, 'x', sizeof big - 8);
	assert_true(say(big, sizeof big, -1));
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(words, 0);
	say_text("READY=1");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(words, 1);
}

/* Worry: somebody who sends all the time keeps the loop for himself. */
static void test_burst_is_bounded(void **state)
{
	const char word[] = "WATCHDOG=1";
	int sent = 0;

	(void)state;
	while (sent < 100 && say(word, sizeof word - 1, -1))
		sent++;
	while (words < sent) {
		const int before = words;

		event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
		assert_true(words > before && words - before <= 64);
	}
}

/* Worry: the path outlives us, or one that is left over prevents the next start. */
static void test_path(void **state)
{
	struct error e = { "" };
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s", notify_path(notify));
	notify_close(&notify);
	assert_int_equal(access(path, F_OK), -1);
	scratch_write(path, "left over", 0600);
	notify = notify_open(base, scratch, on_word, &words, &e);
	assert_non_null(notify);
	say_text("READY=1");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(words, 1);
}

/* Worry: a directory that cannot be used gives no sentence. */
static void test_bad_directory(void **state)
{
	struct error e = { "" };
	char longest[200];

	(void)state;
	assert_null(notify_open(base, in_scratch("missing"), on_word, &words, &e));
	assert_non_null(strstr(e.text, "No such file or directory"));
	memset(longest, 'a', sizeof longest);
	longest[0] = '/';
	longest[sizeof longest - 1] = '\0';
	assert_null(notify_open(base, longest, on_word, &words, &e));
	assert_non_null(strstr(e.text, "is too long for a socket"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words, begin, end),
		cmocka_unit_test_setup_teardown(test_sender, begin, end),
		cmocka_unit_test_setup_teardown(test_open_to_all, begin, end),
		cmocka_unit_test_setup_teardown(test_descriptors_are_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_status_is_escaped, begin, end),
		cmocka_unit_test_setup_teardown(test_garbage, begin, end),
		cmocka_unit_test_setup_teardown(test_burst_is_bounded, begin, end),
		cmocka_unit_test_setup_teardown(test_path, begin, end),
		cmocka_unit_test_setup_teardown(test_bad_directory, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
