// SPDX-License-Identifier: GPL-2.0

//! When a reversal is worth a try at completing: the driver is woken neither too late nor for ever in vain.

use super::atomic::AtomicUsize;
use super::evidence::{Asleep, Ended, Unborn};
use super::stack::{Ranges, StackCheck};
use super::{Cause, Direction, Phase, Reference, Refused, Shift, Side, Task, Transition};
use std::vec::Vec;

fn task(i: usize) -> Task {
    Task::new(0xffff_8880_0000_2540 + i * 0x2a40).expect("it is even")
}

/// Live, with `tasks` tasks in a set of `slots`.
fn live(slots: usize, tasks: usize) -> Transition<Vec<AtomicUsize>> {
    let memory = (0..slots).map(|_| AtomicUsize::new(0)).collect();
    let transition = Transition::new(memory).expect("it is a power of two");
    assert_eq!(transition.begin(), Ok(()));
    for i in 0..tasks {
        assert_eq!(transition.fill(task(i)), Ok(Reference::Taken));
    }
    assert_eq!(transition.go_live(), Ok(()));
    transition
}

fn shift(transition: &Transition<Vec<AtomicUsize>>, i: usize, leaves: Side) -> Shift {
    let asleep = Asleep::trust(task(i), &());
    let ranges = Ranges::new(leaves, &[]).expect("it is empty");
    let clean = StackCheck::new(&asleep, ranges, &[]).finish(true);
    transition.shift(clean.expect("nothing is on the stack"), Cause::Asleep)
}

fn survey_of(transition: &Transition<Vec<AtomicUsize>>, tasks: &[usize]) -> Result<(), Refused> {
    let mut survey = transition.survey()?;
    for &i in tasks {
        survey.look(task(i));
    }
    survey.complete()
}

#[test]
fn a_task_that_has_ended_is_not_owed() {
    let transition = live(16, 2);
    assert_eq!(shift(&transition, 0, Side::From), Shift::ToTo);
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(survey_of(&transition, &[0, 1]), Err(Refused::Pending(1)));
    assert!(!transition.ripe());
    transition.died(task(0));
    assert!(!transition.exit(&Ended::trust(task(0))));
    assert!(transition.ripe());
    assert_eq!(survey_of(&transition, &[1]), Ok(()));
}

#[test]
fn what_was_owed_is_forgotten_with_the_direction() {
    let transition = live(16, 2);
    assert_eq!(shift(&transition, 0, Side::From), Shift::ToTo);
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(survey_of(&transition, &[0, 1]), Err(Refused::Pending(1)));
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(transition.reverse(), Ok(()));
    // Nobody has looked in this direction yet, so nobody is waited for but who is known to live in *to*.
    assert!(!transition.ripe());
    assert_eq!(shift(&transition, 0, Side::To), Shift::ToFrom);
    assert!(transition.ripe());
}

#[test]
fn a_birth_that_failed_before_the_survey_does_not_count() {
    let transition = live(1, 1);
    assert_eq!(transition.reverse(), Ok(()));
    let unborn = task(1);
    assert_eq!(
        transition.birth(&Unborn::trust(unborn, &())),
        Reference::Yours
    );
    // It ended before anybody looked.
    assert!(!transition.exit(&Ended::trust(unborn)));
    assert_eq!(survey_of(&transition, &[0]), Ok(()));
}

#[test]
fn a_birth_that_fails_during_the_survey_counts() {
    let transition = live(1, 1);
    assert_eq!(transition.reverse(), Ok(()));
    let mut survey = transition.survey().expect("it is in reverse");
    assert!(!survey.look(task(0)));
    assert_eq!(
        transition.birth(&Unborn::trust(task(1), &())),
        Reference::Yours
    );
    assert_eq!(survey.complete(), Err(Refused::Full));
}

/// Also if another one is outside who could still move, and if nothing has failed since the survey began.
#[test]
fn a_task_that_has_no_place_is_told_before_those_who_are_outside() {
    let transition = live(2, 2);
    assert_eq!(shift(&transition, 0, Side::From), Shift::ToTo);
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(
        transition.birth(&Unborn::trust(task(2), &())),
        Reference::Yours
    );
    assert_eq!(survey_of(&transition, &[0, 1]), Err(Refused::Pending(1)));
    assert_eq!(survey_of(&transition, &[0, 1, 2]), Err(Refused::Full));
    assert_eq!(transition.phase(), Phase::Live(Direction::Reverse));
    assert_eq!(shift(&transition, 2, Side::To), Shift::Full);
    assert_eq!(survey_of(&transition, &[0, 1, 2]), Err(Refused::Full));
    // It is nobody's problem any more when it has ended.
    assert!(!transition.exit(&Ended::trust(task(2))));
    assert_eq!(survey_of(&transition, &[0, 1]), Err(Refused::Pending(1)));
}

#[test]
fn no_place_in_another_direction_is_no_reason_to_turn() {
    let transition = live(1, 1);
    assert_eq!(transition.reverse(), Ok(()));
    let mut survey = transition.survey().expect("it is in reverse");
    assert!(survey.look(task(1)));
    assert_eq!(transition.reverse(), Ok(()));
    let live = Phase::Live(Direction::Forward);
    assert_eq!(survey.complete(), Err(Refused::Phase(live)));
    assert_eq!(transition.reverse(), Ok(()));
    let mut survey = transition.survey().expect("it is in reverse");
    assert!(survey.look(task(1)));
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(survey.complete(), Err(Refused::Again));
}

/// As many as anybody likes are born and end in reverse, if those who have ended are taken out.
#[test]
fn who_ends_in_reverse_makes_room() {
    let transition = live(8, 2);
    assert_eq!(shift(&transition, 0, Side::From), Shift::ToTo);
    assert_eq!(transition.reverse(), Ok(()));
    for i in 0..10_000 {
        // The address of the one before is free again then.
        let (born, at) = (task(2 + i % 3), transition.in_from());
        assert_eq!(
            transition.birth(&Unborn::trust(born, &())),
            Reference::Taken
        );
        assert_eq!(transition.in_from(), at + 1);
        assert!(transition.exit(&Ended::trust(born)));
    }
    assert_eq!(survey_of(&transition, &[0, 1]), Err(Refused::Pending(1)));
    assert_eq!(shift(&transition, 0, Side::To), Shift::ToFrom);
    assert_eq!(survey_of(&transition, &[0, 1]), Ok(()));
}

#[test]
fn a_survey_of_another_direction_completes_nothing() {
    let transition = live(16, 1);
    assert_eq!(transition.reverse(), Ok(()));
    let mut survey = transition.survey().expect("it is in reverse");
    assert!(!survey.look(task(0)));
    assert_eq!(transition.reverse(), Ok(()));
    let live = Phase::Live(Direction::Forward);
    assert_eq!(survey.complete(), Err(Refused::Phase(live)));
    assert_eq!(transition.phase(), live);
}

#[test]
fn a_survey_from_before_two_turns_completes_nothing() {
    let transition = live(16, 1);
    assert_eq!(transition.reverse(), Ok(()));
    let mut survey = transition.survey().expect("it is in reverse");
    assert!(!survey.look(task(0)));
    // It moves forward meanwhile.
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(shift(&transition, 0, Side::From), Shift::ToTo);
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(survey.complete(), Err(Refused::Unlisted(1)));
    assert_eq!(survey_of(&transition, &[0]), Err(Refused::Pending(1)));
}

#[test]
fn who_moves_during_the_survey_is_not_owed() {
    let transition = live(16, 2);
    assert_eq!(shift(&transition, 0, Side::From), Shift::ToTo);
    assert_eq!(transition.reverse(), Ok(()));
    let mut survey = transition.survey().expect("it is in reverse");
    assert!(survey.look(task(0)));
    assert_eq!(shift(&transition, 0, Side::To), Shift::ToFrom);
    assert_eq!(survey.complete(), Err(Refused::Again));
    assert_eq!(survey_of(&transition, &[0, 1]), Ok(()));
}

/// It is in no list any more, so nobody meets it.
#[test]
fn a_task_that_no_survey_finds_is_waited_for() {
    let transition = live(16, 2);
    assert_eq!(shift(&transition, 0, Side::From), Shift::ToTo);
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(survey_of(&transition, &[1]), Err(Refused::Unlisted(1)));
    assert!(!transition.ripe());
    transition.died(task(0));
    assert!(transition.ripe());
    assert_eq!(survey_of(&transition, &[1]), Ok(()));
}

#[test]
fn a_task_that_has_ended_unheard() {
    let transition = live(16, 1);
    assert_eq!(shift(&transition, 0, Side::From), Shift::ToTo);
    assert_eq!(transition.reverse(), Ok(()));
    assert_eq!(survey_of(&transition, &[]), Err(Refused::Unlisted(1)));
    transition.unlisted_are_gone();
    assert_eq!(survey_of(&transition, &[]), Ok(()));
}

#[test]
fn who_is_born_in_to_and_dies_is_counted_once() {
    let transition = live(16, 1);
    for _ in 0..3 {
        let unborn = Unborn::trust(task(1), &());
        assert_eq!(transition.birth(&unborn), Reference::Yours);
        transition.died(task(1));
        assert!(!transition.exit(&Ended::trust(task(1))));
    }
    // One that dies unmoved, and one that moves back before.
    transition.died(task(0));
    assert_eq!(transition.reverse(), Ok(()));
    assert!(transition.ripe());
    assert_eq!(survey_of(&transition, &[]), Ok(()));
}
