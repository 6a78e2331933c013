#include "model/words.h"

#include "base/str.h"

#include <string.h>

static int find(const char *const words[], int n, const char *word)
{
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

#define WORD(id, word) word,
#define WORDS(name, type, table)                                        \
    static const char *const name##_words[] = {table(WORD)};            \
    const char *name##_word(enum type value)                            \
    {                                                                   \
        return name##_words[value];                                     \
    }                                                                   \
    int name##_parse(const char *word)                                  \
    {                                                                   \
        return find(name##_words, (int)ARRAY_SIZE(name##_words), word); \
    }

WORDS(execution_state, execution_state, EXECUTION_STATE_TABLE)
WORDS(campaign_state, campaign_state, CAMPAIGN_STATE_TABLE)
WORDS(reason, reason, REASON_TABLE)
WORDS(role, role, ROLE_TABLE)
