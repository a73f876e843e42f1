/** One mail in plain text. */
export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** Sends mail, later and elsewhere: handing over neither waits nor fails, so no answer tells whether mail was sent. */
export interface Mailer {
  send(mail: Mail): void;
}
