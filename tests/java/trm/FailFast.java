package trm;

import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.TestWatcher;

/**
 * After a test has failed the others are skipped, where the virtual machine has {@code -Dtrm.test.failFast=true} and {@code
 * -Djunit.jupiter.extensions.autodetection.enabled=true}: tests/mutations/run.sh asks no more than whether one fails.
 */
public final class FailFast implements ExecutionCondition, TestWatcher {
    private static volatile boolean failed;

    @Override
    public void testFailed(ExtensionContext context, Throwable cause) {
        failed = Boolean.getBoolean("trm.test.failFast");
    }

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        return failed
                ? ConditionEvaluationResult.disabled("a test has failed")
                : ConditionEvaluationResult.enabled("no test has failed");
    }
}
