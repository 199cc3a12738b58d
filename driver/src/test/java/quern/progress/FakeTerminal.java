package quern.progress;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A terminal of unlimited height that keeps what it shows; knows the few control sequences of ECMA-48 that we use. */
final class FakeTerminal {
    private static final Pattern TOKEN = Pattern.compile(
            "\u001b\\[(\\d*)A|\u001b\\[(K)|\u001b\\[(J)|\u001b\\[\\?7([lh])|(\r)|(\n)|([^\u001b\r\n]+)");

    private final int width;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private int writes;

    FakeTerminal(int width) {
        this.width = width;
    }

    PrintStream out() {
        return new PrintStream(bytes, false, StandardCharsets.UTF_8) {
            @Override
            public void flush() {
                super.flush();
                writes++;
            }
        };
    }

    int writes() {
        return writes;
    }

    String written() {
        return bytes.toString(StandardCharsets.UTF_8);
    }

    /** The lines it shows; empty ones at the end left out. */
    List<String> screen() {
        List<StringBuilder> rows = new ArrayList<>(List.of(new StringBuilder()));
        int row = 0;
        int column = 0;
        boolean wrap = true;
        Matcher token = TOKEN.matcher(written());
        int at = 0;
        while (token.find()) {
            if (token.start() != at) {
                throw new AssertionError("A control sequence that this terminal does not know, at " + at);
            }
            at = token.end();
            if (token.group(1) != null) {
                row -= Integer.parseInt(token.group(1));
            } else if (token.group(2) != null) {
                rows.get(row).setLength(Math.min(column, rows.get(row).length()));
            } else if (token.group(3) != null) {
                rows.get(row).setLength(Math.min(column, rows.get(row).length()));
                rows.subList(row + 1, rows.size()).clear();
            } else if (token.group(4) != null) {
                wrap = token.group(4).equals("h");
            } else if (token.group(5) != null) {
                column = 0;
            } else if (token.group(6) != null) {
                column = 0;
                row = next(rows, row);
            } else {
                for (char c : token.group(7).toCharArray()) {
                    if (column == width && wrap) {
                        column = 0;
                        row = next(rows, row);
                    }
                    StringBuilder line = rows.get(row);
                    int place = Math.min(column, width - 1);
                    while (line.length() <= place) {
                        line.append(' ');
                    }
                    line.setCharAt(place, c);
                    column = Math.min(width, column + 1);
                }
            }
        }
        List<String> lines =
                new ArrayList<>(rows.stream().map(StringBuilder::toString).toList());
        while (!lines.isEmpty() && lines.get(lines.size() - 1).isEmpty()) {
            lines.remove(lines.size() - 1);
        }
        return lines;
    }

    private static int next(List<StringBuilder> rows, int row) {
        if (row + 1 == rows.size()) {
            rows.add(new StringBuilder());
        }
        return row + 1;
    }
}
