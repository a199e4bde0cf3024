#!/usr/bin/env python3
"""Writes csv.json: texts, and the rows Python's csv module reads from them. Bytes are Latin-1 characters here.

    python3 tests/golden/make_csv.py
"""
import csv
import io
import json
import os
import random

HAND = [
    ("plain", "a,b\n1,2\n3,4\n"),
    ("no newline at the end", "a,b\n1,2\n3,4"),
    ("crlf", "a,b\r\n1,2\r\n3,4\r\n"),
    ("crlf, no newline at the end", "a,b\r\n1,2\r\n3,4"),
    ("quoted delimiter", 'a,b\n"1,5",2\n3,"4,,"\n'),
    ("quoted quotes", 'a,b\n"say ""hi""",2\n"""",""""""\n'),
    ("quoted newlines", 'a,b\n"1\n2","3\r\n4"\n5,6\n'),
    ("quoted newline last", 'a,b\n1,"\n"\n2,"\n\n\n"'),
    ("empty fields", "a,b\n,\n1,\n,2\n"),
    ("empty quoted", 'a,b\n"",""\n'),
    ("empty lines", "a,b\n\n1,2\n\n\n3,4\n\n"),
    ("empty crlf lines", "a,b\r\n\r\n1,2\r\n\r\n"),
    ("quote inside an unquoted field", 'a,b\n5" disk,x"y"z\n1,2"\n'),
    ("quoted header", '"a,1","b ""2"""\n1,2\n'),
    ("blanks are kept", "a,b\n 1, 2 \n"),
    ("utf-8 bytes", "a,b\n\xc3\xa9,\xe2\x82\xac\n"),
    ("one column", "a\n1\n2\n"),
    ("only a header", "a,b\n"),
    ("long fields", "a,b\n" + "x" * 300 + ',"' + 'y,""' * 50 + '"\n1,2\n'),
    ("semicolons", "a;b\n1,5;\"2;5\"\n"),
    ("tabs", "a\tb\n1\t\"2\t5\"\n"),
]


def random_text(rng):
    columns = rng.randint(1, 6)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=rng.choice(["\n", "\r\n"]), quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer.writerow([f"c{i}" for i in range(columns)])
    for _ in range(rng.randint(0, 12)):
        writer.writerow(["".join(rng.choice('ab1 ,"\n|') for _ in range(rng.choice([0, 1, 2, 5, 9, 70]))) for _ in range(columns)])
    return out.getvalue()


def main():
    rng = random.Random(1)
    texts = HAND + [(f"random {i}", random_text(rng)) for i in range(60)]
    cases = []
    for name, text in texts:
        delimiter = {"semicolons": ";", "tabs": "\t"}.get(name, ",")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        cases.append({"name": name, "delimiter": delimiter, "text": text, "rows": rows})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "csv.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(cases, f, indent=0, ensure_ascii=True)
        f.write("\n")


if __name__ == "__main__":
    main()
