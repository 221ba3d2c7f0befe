/** Composer of messages: new ones, replies, and edits of old ones. */

import {
  type FormEvent,
  type MouseEvent,
  type RefObject,
  type TouchEvent,
  useEffect,
  useLayoutEffect,
  useRef,
} from "react";
import type { Edit, TimelineItem } from "@chatd/client";
import { useChat } from "../context.js";
import { AttachButtons } from "../files/attach-button.js";
import type { Attaching } from "../files/attaching.js";
import { StagedFiles } from "../files/staged-files.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { About, Replying } from "./about.js";
import { AsideEdits, EditProblem } from "./edit-problem.js";
import { MessageField } from "./message-field.js";
import { useWriting, type WritingDuties } from "./writing.js";

export function Composer({
  field,
  id,
  items,
  attaching,
  onSent,
}: {
  field: RefObject<HTMLTextAreaElement | null>;
  /** The conversation whose composer this is. */
  id: string;
  /** Messages that are loaded of it. */
  items: readonly TimelineItem[];
  attaching: Attaching;
} & WritingDuties) {
  const { client } = useChat();
  const writing = useWriting(id, items, attaching.staged, { onSent });
  const { value, replyTo, excess, editing } = writing;
  useFocus(field, editing);
  const second = useSecondPress(editing !== null);
  const focus = () => field.current?.focus();
  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    writing.submit();
    field.current?.focus();
  };
  // The button that had the focus is gone; a phone's keyboard stays away.
  const refocus = () => {
    if (matchMedia("(hover: hover)").matches) field.current?.focus();
  };
  const cancel = () => {
    writing.cancel();
    refocus();
  };
  const attach = (files: readonly File[]) => {
    attaching.add(files);
    field.current?.focus();
  };
  return (
    <form className="composer" onSubmit={submit}>
      <AsideEdits id={id} onOpen={focus} />
      {editing && <About title={words.editing} text={editing.base} edit onCancel={cancel} />}
      {editing && <EditProblem edit={editing} clash={writing.clash} onDone={focus} />}
      {replyTo !== null && <Replying seq={replyTo} items={items} onCancel={cancel} />}
      {excess && (
        <p className="problem" role="alert">
          {words.tooLong(excess.length, excess.limit)}
        </p>
      )}
      {!editing && <StagedFiles attaching={attaching} onLess={refocus} />}
      <div className="composer-line" onMouseDown={keepFocus} onTouchEnd={keepFocusOfTap}>
        <MessageField
          field={field}
          value={value}
          onChange={(text) => {
            second.forget();
            writing.change(text);
          }}
          onSubmit={submit}
          onEscape={editing || replyTo !== null ? writing.cancel : null}
          onLeave={() => {
            client.stopTyping(id);
          }}
          onFiles={editing ? null : attaching.add}
        />
        {!editing && <AttachButtons onFiles={attach} />}
        <button
          type="submit"
          className="button primary send"
          disabled={!writing.ready}
          onMouseDown={keepKeyboard}
          onClick={second.pressed}
        >
          <Icon name={editing ? "check" : "send"} />
          <span>{editing ? words.save : words.send}</span>
        </button>
      </div>
    </form>
  );
}

/** A press of "Send" leaves the keyboard of a phone open. */
function keepKeyboard(event: MouseEvent): void {
  event.preventDefault();
}

/** A press beside the controls takes no focus; one of "Send" that can not be pressed now counts as such, where a mouse is. */
function keepFocus(event: MouseEvent): void {
  if (event.target === event.currentTarget) event.preventDefault();
}

/** A finger's second tap meets a "Send" that can not be pressed any more, and no mouse event says so. */
function keepFocusOfTap(event: TouchEvent): void {
  if ((event.target as Element).closest(".send:disabled")) event.preventDefault();
}

/** An edit that begins takes the focus; not one that was there, or that comes back refused. */
function useFocus(field: RefObject<HTMLTextAreaElement | null>, edit: Edit | null): void {
  const seq = edit?.seq ?? null;
  const refused = edit?.error != null;
  const last = useRef(seq);
  useLayoutEffect(() => {
    if (seq !== null && seq !== last.current && !refused) field.current?.focus();
    last.current = seq;
  }, [field, seq, refused]);
  useEffect(() => {
    const element = field.current;
    if (!element || !matchMedia("(hover: hover)").matches) return; // a phone's keyboard would cover half the page
    element.focus();
    element.setSelectionRange(element.value.length, element.value.length); // a draft goes on where it ends
  }, [field]);
}

/** "Save" becomes "Send" under the pointer: the second press of a double click would send a draft that waits there. */
function useSecondPress(editing: boolean) {
  const saved = useRef(false);
  return {
    pressed: (event: MouseEvent) => {
      if (editing) saved.current = true;
      else if (saved.current && event.detail > 1) event.preventDefault();
      else saved.current = false;
    },
    forget: () => {
      saved.current = false;
    },
  };
}
