/* What a letter behind a backslash stands for, in the quoted words of the files that we read. */
#ifndef CLIENT_ESCAPE_H
#define CLIENT_ESCAPE_H

static inline char escape_meaning(char letter)
{
    switch (letter) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

#endif
