package quern.progress;

import java.io.Console;
import org.jspecify.annotations.Nullable;

/** Whether lines can be drawn in place. */
final class Terminal {
    private Terminal() {}

    static boolean isLive(@Nullable Console console, @Nullable String term) {
        return console != null && !"dumb".equals(term) && isTerminal(console);
    }

    /** From Java 22 on there is a console even without a terminal; a method that Java 17 lacks tells them apart. */
    private static boolean isTerminal(Console console) {
        try {
            return (boolean) Console.class.getMethod("isTerminal").invoke(console);
        } catch (NoSuchMethodException e) {
            return true;
        } catch (ReflectiveOperationException e) {
            return false;
        }
    }
}
