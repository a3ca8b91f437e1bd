#!/usr/bin/awk -f
# From CTest's LastTest.log to "N passed, N failed" in test cases: the counts that cmocka prints in each program, 1 for
# a test that prints none. A program that failed without saying how often (a crash, a timeout) counts as 1 failure.
function finish() {
    if (test == "") return
    if (good && passed + skipped == 0) passed = 1
    if (!good && failed == 0) failed = 1
    all_passed += passed
    all_failed += failed
    all_skipped += skipped
    if (skipped) skips = skips " " test
    if (!good) failures = failures " " test
}
/^[0-9]+\/[0-9]+ Test: / {
    finish()
    passed = failed = skipped = good = 0
    test = $3
}
/^\[  PASSED  \] [0-9]+ test/ { passed += $4 }
/^\[  FAILED  \] [0-9]+ test/ { failed += $4 }
/^\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
/^Test Passed\./ { good = 1 }
END {
    finish()
    if (skips != "") print "cases skipped in:" skips
    if (failures != "") print "failed:" failures
    line = (all_passed + 0) " passed, " (all_failed + 0) " failed"
    if (all_skipped) line = line ", " all_skipped " skipped"
    print line
    exit (all_failed > 0 || all_passed == 0) ? 1 : 0
}
