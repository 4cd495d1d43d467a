// hand_j1 IN OUT: J1 by hand. Rows with amount > 500 and status ok, with a fee; eight columns, in input order.
#include "hand.h"
#include <math.h>

enum { TX, TS, ACCOUNT, MERCHANT, COUNTRY, CATEGORY, AMOUNT, CURRENCY, STATUS, NOTE, FIELDS };

int main(int argc, char **argv)
{
    struct input in;
    struct output out;
    struct index x = { 0 };
    index_fn *separators = index_best();
    bool header = true;

    if (argc != 3)
        die("usage", "hand_j1 IN OUT");
    input_open(&in, argv[1]);
    output_open(&out, argv[2]);
    PUT(&out, "tx_id,ts,account,country,amount,currency,fee,note\n");
    while (csv_block(&in, &x, separators)) {
        const char *data = input_data(&in), *row = data;
        if (x.n % FIELDS)
            die("input", "a row has not ten fields");
        for (const uint32_t *at = x.at; at < x.at + x.n; row = data + at[NOTE] + 1, at += FIELDS) {
            const char *status = data + at[CURRENCY] + 1, *amount = data + at[CATEGORY] + 1;
            if (data[at[NOTE]] != '\n')
                die("input", "a row has not ten fields");
            if (header) {
                header = false;
                continue;
            }
            uint64_t cents = fixed(amount, data + at[AMOUNT], 2);
            bool ok = (at[STATUS] - at[CURRENCY] == 3) & (status[0] == 'o') & (status[1] == 'k');
            if (!((cents > 50000) & ok))
                continue;
            size_t first = (size_t)(data + at[ACCOUNT] + 1 - row), note = at[NOTE] + 1 - at[STATUS];
            output_need(&out, (size_t)(data + at[NOTE] - row) + 32);
            put(&out, row, first);
            put(&out, data + at[MERCHANT] + 1, at[COUNTRY] - at[MERCHANT]);
            put(&out, amount, at[CURRENCY] - at[CATEGORY]);
            put_fixed(&out, (uint64_t)round(((double)cents / 100.0 * 0.029 + 0.30) * 100.0), 100, 2);
            put(&out, data + at[STATUS], note);
        }
    }
    output_close(&out);
    return 0;
}
