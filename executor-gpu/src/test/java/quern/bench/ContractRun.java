package quern.bench;

import java.io.PrintWriter;
import java.util.Arrays;
import java.util.List;
import org.junit.platform.engine.discovery.ClassSelector;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * Runs test classes, named as arguments, where there is no build tool. Ends with 1 if a test failed, and also if a class was skipped or
 * nothing ran: on a machine that was fetched for its GPU, a test that found none has failed.
 */
final class ContractRun {
    private ContractRun() {}

    public static void main(String[] args) {
        List<ClassSelector> classes =
                Arrays.stream(args).map(DiscoverySelectors::selectClass).toList();
        SummaryGeneratingListener summary = new SummaryGeneratingListener();
        Launcher launcher = LauncherFactory.create();
        launcher.registerTestExecutionListeners(summary, new TestExecutionListener() {
            @Override
            public void executionSkipped(TestIdentifier test, String reason) {
                System.out.println("SKIPPED " + test.getDisplayName() + ": " + reason);
            }
        });
        launcher.execute(
                LauncherDiscoveryRequestBuilder.request().selectors(classes).build());
        TestExecutionSummary result = summary.getSummary();
        PrintWriter out = new PrintWriter(System.out, true);
        result.printFailuresTo(out, 12);
        out.printf(
                "%d tests succeeded, %d failed, %d were skipped, in %.1f s%n",
                result.getTestsSucceededCount(),
                result.getTestsFailedCount(),
                result.getTestsSkippedCount() + result.getTestsAbortedCount(),
                (result.getTimeFinished() - result.getTimeStarted()) / 1e3);
        if (result.getContainersAbortedCount() > 0) {
            out.println("a class found no GPU and ran nothing");
        }
        boolean good = result.getTotalFailureCount() == 0
                && result.getContainersAbortedCount() == 0
                && result.getTestsSucceededCount() > 0;
        System.exit(good ? 0 : 1);
    }
}
