#include "iptables/transaction.h"

#include <algorithm>

#include "iptables/native.h"
#include "iptables/probe.h"
#include "iptables/routes.h"
#include "iptables/session.h"

namespace sockmesh::iptables {

namespace {

tl::unexpected<Failure> failure(Error error, int exit_code = kExitFailure) {
  return tl::unexpected<Failure>(Failure{std::move(error), exit_code});
}

bool any_drift(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.is_drift(); });
}

class Transaction {
 public:
  Transaction(const Options& options, const Wanted& wanted, const Launcher& launcher, const Log& log)
      : options_(options), wanted_(wanted), launcher_(launcher), log_(log) {}

  OrFailure<Action> run() { return options_.native_nftables ? run_native() : run_iptables(); }

 private:
  OrFailure<Action> run_iptables() {
    auto session = Session::open(launcher_, options_, wanted_, /*may_write=*/!options_.cleanup_only);
    if (!session) return failure(std::move(session).error());
    log_("using " + session->backend_names());
    if (options_.cleanup_only) return clean_up(*session);

    const auto findings = session->compare();
    const bool differs = any_drift(findings), present = session->has_own_chains();
    for (const Finding& finding : findings) {
      if (present) log_(to_string(finding));
    }
    if (!differs && !options_.force_apply) return keep();
    if (!present) return change(*session, Action::kApplied, [&] { return session->apply(); });
    if (options_.reconcile)
      return change(*session, Action::kReconciled, [&] { return session->rebuild(findings); });
    return failure(errorf("{}; run with --reconcile to {}",
                          differs ? "rules of an earlier run are there and differ from what is wanted"
                                  : "--force-apply: the chains exist already and are as wanted",
                          differs ? "repair them" : "have them checked and repaired"));
  }

  OrFailure<Action> run_native() {
    auto session = NativeSession::open(launcher_, wanted_.plan);
    if (!session) return failure(std::move(session).error());
    log_("using nft");
    if (options_.cleanup_only) return clean_up(*session);
    const auto differences = session->compare();
    if (!differences) return failure(differences.error());
    if (differences->empty() && !options_.force_apply) return keep();
    return change(*session, Action::kApplied, [&] { return session->apply(); });
  }

  template <typename AnySession>
  OrFailure<Action> clean_up(AnySession& session) {
    if (auto removed = session.remove(); !removed) return failure(std::move(removed).error());
    if (auto removed = remove_other_routes({}); !removed) return failure(std::move(removed).error());
    return Action::kCleaned;
  }

  OrFailure<Action> keep() {
    AddedRoutes added;
    if (auto done = add_routes(wanted_.plan.routes, added); !done) return failure(std::move(done).error());
    return Action::kUnchanged;
  }

  template <typename AnySession, typename Change>
  OrFailure<Action> change(AnySession& session, Action action, Change make) {
    auto done = make();
    AddedRoutes added;
    if (done) done = add_routes(wanted_.plan.routes, added);
    int exit_code = kExitFailure;
    if (done) {
      done = probe();
      if (done) done = remove_other_routes(wanted_.plan.routes);  // of the flags of an earlier run
      if (done) return action;
      if (options_.run_validation) exit_code = kExitValidation;
    }

    std::string message = done.error().message;
    take_back(added);
    if (const auto undone = session.undo(); !undone)
      message += "; and the rules from before could not be put back: " + undone.error().message;
    else
      message += "; the rules are as before";
    return failure(Error{message, done.error().os_error}, exit_code);
  }

  // Without --run-validation a probe that cannot be made is no failure: an init container may not become the
  // proxy's user, and an agent that runs already holds the ports.
  Result<void> probe() {
    const Probe probe = probe_capture(options_, wanted_, /*until_timeout=*/false);
    if (probe.verdict == Probe::Verdict::kProved) return {};
    if (probe.verdict == Probe::Verdict::kDisproved || options_.run_validation) return fail("{}", probe.text);
    log_(probe.text + "; the rules are not probed");
    return {};
  }

  const Options& options_;
  const Wanted& wanted_;
  const Launcher& launcher_;
  const Log& log_;
};

Result<Wanted> want_here(const Options& options, const Log& log) {
  SOCKMESH_TRY(facts, gather_host_facts(options));
  SOCKMESH_TRY(capture, make_capture(options, facts));
  for (const std::string& warning : capture.warnings) log(warning);
  return Wanted{std::move(facts), std::move(capture.plan)};
}

Result<std::vector<std::string>> native_differences(const Wanted& wanted, const Launcher& launcher) {
  SOCKMESH_TRY(session, NativeSession::open(launcher, wanted.plan));
  return session.compare();
}

Result<std::vector<std::string>> iptables_differences(const Options& options, const Wanted& wanted,
                                                      const Launcher& launcher, const Log& log) {
  SOCKMESH_TRY(session, Session::open(launcher, options, wanted, /*may_write=*/false));
  std::vector<std::string> differences;
  for (const Finding& finding : session.compare()) {
    if (finding.is_drift())
      differences.push_back(to_string(finding));
    else
      log(to_string(finding));
  }
  return differences;
}

// `work` in the namespace of the options.
template <typename T, typename Work>
OrFailure<T> in_pod(const Options& options, Work work) {
  OrFailure<T> result = failure(Error{});
  const auto entered = in_namespace({options.network_namespace, options.cni_mode},
                                    [&](const Launcher& launcher) { result = work(launcher); });
  if (!entered) return failure(entered.error());
  return result;
}

}  // namespace

OrFailure<Action> run_transaction(const Options& options, const Log& log) {
  return in_pod<Action>(options, [&](const Launcher& launcher) -> OrFailure<Action> {
    const auto wanted = want_here(options, log);
    if (!wanted) return failure(wanted.error());
    auto action = options.skip_rule_apply ? OrFailure<Action>(Action::kSkipped)
                                          : Transaction(options, *wanted, launcher, log).run();
    const bool probed = action && (*action == Action::kApplied || *action == Action::kReconciled);
    if (!action || !options.run_validation || probed || options.cleanup_only) return action;
    const Probe probe = probe_capture(options, *wanted, /*until_timeout=*/true);
    if (probe.verdict == Probe::Verdict::kProved) return action;
    return failure(Error{probe.text, 0}, kExitValidation);
  });
}

OrFailure<std::vector<std::string>> check_rules(const Options& options, const Log& log) {
  using Texts = std::vector<std::string>;
  return in_pod<Texts>(options, [&](const Launcher& launcher) -> OrFailure<Texts> {
    const auto wanted = want_here(options, log);
    if (!wanted) return failure(wanted.error());
    auto found = options.native_nftables ? native_differences(*wanted, launcher)
                                         : iptables_differences(options, *wanted, launcher, log);
    if (!found) return failure(found.error());
    Texts differences = *std::move(found);
    const auto missing = missing_routes(wanted->plan.routes);
    if (!missing) return failure(missing.error());
    for (const std::string& words : *missing) differences.push_back("missing: " + words);
    return differences;
  });
}

Result<Wanted> want(const Options& options, const Log& log) {
  Result<Wanted> wanted = fail("not asked");
  SOCKMESH_CHECK(in_namespace({options.network_namespace, false},
                              [&](const Launcher&) { wanted = want_here(options, log); }));
  return wanted;
}

}  // namespace sockmesh::iptables
