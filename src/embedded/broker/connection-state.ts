/**
 * One client.
 *
 *   greeting ──"AMQP"0091──▶ handshake ──open──▶ open ──our close──▶ closing ──close-ok──▶ closed
 *                                └────the client's close────▶ leaving ──socket closed────▶
 *   any ──────other bytes, refused login, lost socket, dead peer──────────────────────────▶
 */
export type ConnectionState = 'greeting' | 'handshake' | 'open' | 'closing' | 'leaving' | 'closed';
