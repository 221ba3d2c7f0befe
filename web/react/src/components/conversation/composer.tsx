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
import type { TimelineItem } from "@chatd/client";
import { personOf, useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { AttachButtons } from "../files/attach-button.js";
import type { Attaching } from "../files/attaching.js";
import { StagedFiles } from "../files/staged-files.js";
import { lineOf } from "../names.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { MessageField } from "./message-field.js";
import { useWriting, type WritingDuties } from "./writing.js";

export function Composer({
  field,
  id,
  items,
  editing,
  attaching,
  onSent,
  onEdited,
}: {
  field: RefObject<HTMLTextAreaElement | null>;
  /** The conversation whose composer this is. */
  id: string;
  /** Messages that are loaded of it. */
  items: readonly TimelineItem[];
  /** The message that is edited. */
  editing: TimelineItem | null;
  attaching: Attaching;
} & WritingDuties) {
  const { client } = useChat();
  const writing = useWriting(id, editing, attaching.staged, { onSent, onEdited });
  const { value, replyTo, excess } = writing;
  useFocus(field, editing?.key ?? null);
  const second = useSecondPress(editing !== null);
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
      {editing && <About title={words.editing} text={lineOf(editing.message)} edit onCancel={cancel} />}
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

function useFocus(field: RefObject<HTMLTextAreaElement | null>, edited: string | null): void {
  useLayoutEffect(() => {
    if (edited !== null) field.current?.focus();
  }, [field, edited]);
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

function Replying({ seq, items, onCancel }: { seq: number; items: readonly TimelineItem[]; onCancel: () => void }) {
  const { client } = useChat();
  const users = useReadable(client.users);
  const quoted = items.find((item) => item.seq === seq)?.message;
  const name = quoted?.sender ? personOf(users, quoted.sender).name : "";
  const text = quoted ? lineOf(quoted) : words.unknownMessage;
  return <About title={words.replyingTo(name)} text={text} onCancel={onCancel} />;
}

/** Bar above the field: the message that is edited or replied to, and the way out. */
function About({
  title,
  text,
  edit = false,
  onCancel,
}: {
  title: string;
  text: string;
  edit?: boolean;
  onCancel: () => void;
}) {
  return (
    <div className="about">
      <Icon name="reply" size={18} />
      <div>
        <strong dir="auto">{title}</strong>
        <span dir="auto">{text}</span>
      </div>
      <button
        type="button"
        className={edit ? "button small" : "icon-button"}
        aria-label={words.cancel}
        onClick={onCancel}
      >
        {edit ? words.cancel : <Icon name="close" size={18} />}
      </button>
    </div>
  );
}
