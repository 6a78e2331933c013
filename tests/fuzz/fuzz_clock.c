/* A moment, or a span, as text. What is read as a moment is written so that it is read as the same. */
#include "fuzz.h"

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(&data, &size, '\0'), written[CLOCK_TEXT_SIZE], http[CLOCK_HTTP_SIZE];
    int64_t at_ms = -1, again = -1, span_ms = -1;
    if (clock_parse(text, &at_ms) == 0) {
        assert(at_ms >= 0);
        clock_format(at_ms, written);
        assert(clock_parse(written, &again) == 0 &&
               again == (at_ms > 253402300799999 ? 253402300799999 : at_ms));
    }
    if (clock_http_parse(text, &at_ms) == 0) {
        assert(at_ms % 1000 == 0);
        clock_http_format(at_ms, http);
        if (at_ms >= 0 && at_ms <= 253402300799999)
            assert(clock_http_parse(http, &again) == 0 && again == at_ms);
    }
    if (clock_span_parse(text, &span_ms) == 0)
        assert(span_ms >= 0 && span_ms <= 10000LL * 86400000);
    else
        assert(span_ms == -1);
    free(text);
    return 0;
}
